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

package slurm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/test/harness/ports"
	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

// accounting is a slurmdbd and the MariaDB that it writes to.
type accounting struct {
	cluster                    *Cluster
	mariadbd, slurmdbd         *process.Process
	databasePort, slurmdbdPort int
}

// storagePassword protects nothing: the database listens on the loopback interface alone and holds what tests did.
const storagePassword = "slurm"

// MissingForAccounting says what the machine lacks beside Missing to run a cluster with accounting, empty for nothing.
func MissingForAccounting() []string {
	var missing []string
	for program, from := range map[string]string{"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server-core", "my_print_defaults": "mariadb-client-core"} {
		if _, err := find(program); err != nil {
			missing = append(missing, from)
		}
	}
	return missing
}

func (a *accounting) layOut() error {
	if missing := MissingForAccounting(); len(missing) > 0 {
		return fmt.Errorf("this machine lacks Debian's packages %s", strings.Join(missing, ", "))
	}
	var err error
	if a.databasePort, err = ports.Free(); err != nil {
		return err
	}
	if a.slurmdbdPort, err = ports.Free(); err != nil {
		return err
	}
	c := a.cluster
	if err := os.MkdirAll(c.path("mariadb"), 0o700); err != nil {
		return err
	}
	user := fmt.Sprintf("CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO 'slurm'@'127.0.0.1';\n", storagePassword)
	if err := os.WriteFile(c.path("mariadb.sql"), []byte(user), 0o600); err != nil {
		return err
	}
	conf := fmt.Sprintf(`AuthType=auth/munge
AuthInfo=socket=%[1]s/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=%[2]d
SlurmUser=root
PidFile=%[1]s/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=%[3]d
StorageUser=slurm
StoragePass=%[4]s
StorageLoc=slurm
`, c.dir, a.slurmdbdPort, a.databasePort, storagePassword)
	return os.WriteFile(c.path("slurmdbd.conf"), []byte(conf), 0o600)
}

// slurmConf is what slurm.conf says of the storage, behind AccountingStorageType=.
func (a *accounting) slurmConf() string {
	return fmt.Sprintf(`accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=%d
# What speaks with slurmdbd asks this munged.
AccountingStoragePass=%s/munge/socket
AccountingStoreFlags=job_comment`, a.slurmdbdPort, a.cluster.dir)
}

func (a *accounting) start(ctx context.Context) error {
	c := a.cluster
	mariadbd, err := find("mariadbd")
	if err != nil {
		return err
	}
	data := c.path("mariadb")
	install := c.Command(ctx, "mariadb-install-db", "--no-defaults", "--user=root", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("make the accounting's database: %w: %s", err, out)
	}
	a.mariadbd, err = c.launch("mariadbd", mariadbd, "--no-defaults", "--user=root", "--datadir="+data, "--socket="+filepath.Join(data, "socket"),
		"--pid-file="+filepath.Join(data, "pid"), "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", a.databasePort), "--init-file="+c.path("mariadb.sql"),
		"--skip-name-resolve", "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0")
	if err != nil {
		return err
	}
	if err := until(ctx, "the accounting's database to listen", func() error { return reach(ctx, a.databasePort) }); err != nil {
		return err
	}
	slurmdbd, err := find("slurmdbd")
	if err != nil {
		return err
	}
	if a.slurmdbd, err = c.launch("slurmdbd", slurmdbd, "-D"); err != nil {
		return err
	}
	if err := until(ctx, "slurmdbd to listen", func() error { return reach(ctx, a.slurmdbdPort) }); err != nil {
		return err
	}
	return until(ctx, "slurmdbd to take the cluster", func() error {
		out, err := c.Command(ctx, "sacctmgr", "--immediate", "add", "cluster", fmt.Sprintf("remotejob%d", c.controllerPort)).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "already exists") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}
