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

// Package ports finds ports for programs that bind them by number, a while after they were told.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

// Where ports are drawn from. Below are those that programs have by custom, the kubelet's among them; above, on Linux as it comes, begin
// those that the kernel gives to whoever asks for any, or connects to something.
const first, last = 11000, 32767

var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Free returns a port that nothing listens on at any address, that the kernel gives to nobody by itself, and that this process was not given
// before. Other processes may draw too: so ports are drawn at random.
func Free() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	kernel, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	from, to := between(string(kernel))
	for range 1000 {
		port := from + rand.IntN(to-from+1)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("found no free port from %d to %d", from, to)
}

// Address is one on the loopback interface, with such a port.
func Address() (string, error) {
	port, err := Free()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}

// between is where ports are drawn from, given the range that the kernel gives away itself: below that or above it, where there is room.
func between(kernel string) (from, to int) {
	const room = 1000
	var low, high int
	if _, err := fmt.Sscan(kernel, &low, &high); err != nil || low > last {
		return first, last
	}
	switch {
	case low >= first+room:
		return first, low - 1
	case high <= 65535-room:
		return max(first, high+1), 65535
	}
	return first, last
}
