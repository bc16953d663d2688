/*
Copyright 2026 The remotejob-operator Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// Network is how the cluster is reached. It is taken from 198.18.0.0/15, which is set aside for tests of networks: a cluster has four
// networks of 256 addresses there.
type Network struct {
	// Host is this machine's address on the link to the node, which nodes and pods can reach, and NodeAddress the node's.
	Host, NodeAddress net.IP
	// Pods and Services are the ranges of their addresses. This machine reaches both.
	Pods, Services netip.Prefix

	link string
}

// most is how many clusters there can be at once.
const most = 64

func network(n int) Network {
	at := func(third, fourth int) netip.Addr {
		return netip.AddrFrom4([4]byte{198, 18, byte(4*n + third), byte(fourth)})
	}
	return Network{
		Host: at(0, 1).AsSlice(), NodeAddress: at(0, 2).AsSlice(),
		Pods: netip.PrefixFrom(at(1, 0), 24), Services: netip.PrefixFrom(at(2, 0), 24),
		link: "rjcluster" + strconv.Itoa(n),
	}
}

// connect lays a link between this machine and the namespaces. It ends with them.
func connect(ctx context.Context, ns *harness.Namespaces) (Network, error) {
	for n := range most {
		network := network(n)
		err := ip(ctx, "link", "add", network.link, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(ns.Pid()))
		if err != nil && strings.Contains(err.Error(), "File exists") {
			continue // another cluster's
		} else if err != nil {
			return Network{}, err
		}
		return network, network.configure(ctx, ns)
	}
	return Network{}, fmt.Errorf("there are %d clusters already", most)
}

func (n Network) configure(ctx context.Context, ns *harness.Namespaces) error {
	outside := [][]string{
		{"address", "add", n.Host.String() + "/30", "dev", n.link},
		{"link", "set", n.link, "up"},
		{"route", "add", n.Pods.String(), "via", n.NodeAddress.String()},
		{"route", "add", n.Services.String(), "via", n.NodeAddress.String()},
	}
	script := fmt.Sprintf(`ip address add %s/30 dev eth0 && ip link set eth0 up && ip route add default via %s && echo 1 >/proc/sys/net/ipv4/ip_forward`,
		n.NodeAddress, n.Host)
	if err := inside(ctx, ns, script); err != nil {
		return err
	}
	for _, args := range outside {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func ip(ctx context.Context, args ...string) error {
	return quietly(exec.CommandContext(ctx, "ip", args...))
}

// inside runs a shell script in the namespaces.
func inside(ctx context.Context, ns *harness.Namespaces, script string) error {
	argv, err := ns.Argv("sh", "-c", script)
	if err != nil {
		return err
	}
	return quietly(exec.CommandContext(ctx, argv[0], argv[1:]...))
}

func quietly(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return err
}
