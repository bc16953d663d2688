#!/usr/bin/env bash
# Installs what the commands of the Makefile need from the machine and it lacks: a Docker engine or, with BACKEND=slurm or the argument
# "slurm", a SLURM, and a static busybox, of which images are made on the spot; with the argument "test", also what the tests need, with "cluster" what a Kubernetes node needs. On Debian
# and as root it installs; else it says what is missing.
set -euo pipefail
what=${1:-run}
backend=${BACKEND:-docker}
[ "$what" != slurm ] || backend=slurm

missing=() # Debian packages
reasons=()
need() { # need PACKAGE WHY CHECK...
  local package=$1 why=$2
  shift 2
  "$@" >/dev/null 2>&1 || { missing+=("$package"); reasons+=("$package: $why"); }
}
static_busybox() { [ -x /bin/busybox ] && ! LC_ALL=C ldd /bin/busybox; }
engine() { command -v dockerd || { [ "$what" = run ] && [ -S /var/run/docker.sock ]; }; }
slurm_plugin() { compgen -G "/usr/lib/*/slurm-wlm/$1.so"; }

if [ "$what" = test ] || [ "$backend" = docker ]; then
  need docker.io "a Docker engine (dockerd)" engine
fi
if [ "$what" = test ] || [ "$backend" = slurm ]; then
  need munge "SLURM's authentication (munged)" test -x /usr/sbin/munged
  need slurmctld "SLURM's controller" test -x /usr/sbin/slurmctld
  need slurmd "SLURM's daemon on a node" test -x /usr/sbin/slurmd
  need slurm-client "SLURM's commands" command -v sbatch
  need charliecloud-runtime "containers in SLURM jobs (ch-run)" command -v ch-run
fi
need busybox-static "a static /bin/busybox, of which the images for demo and tests are made" static_busybox
if [ "$what" = test ] || [ "$what" = cluster ]; then
  need runc "what containerd starts containers with" command -v runc
  need containernetworking-plugins "the network of pods" test -x /usr/lib/cni/bridge
  need iptables "Services, by kube-proxy" command -v iptables
  need iproute2 "ip, for engines and nodes in network namespaces of their own" command -v ip
  need util-linux "nsenter and unshare, for the same" command -v nsenter
fi
if [ "$what" = test ]; then
  need podman "a container runtime in SLURM jobs" command -v podman
  need uidmap "newuidmap, for the same without root" command -v newuidmap
  need fuse-overlayfs "layers of images, for the same" command -v fuse-overlayfs
  need crun "what podman starts containers with" command -v crun
  need slurmdbd "SLURM's accounting" test -x /usr/sbin/slurmdbd
  need slurm-wlm-mysql-plugin "what slurmdbd stores its records with" slurm_plugin accounting_storage_mysql
  need mariadb-server-core "the database for the same (mariadbd; it has no service)" test -x /usr/sbin/mariadbd
  need mariadb-client-core "what the database is set up with" command -v my_print_defaults
  need openssh-server "sshd, for clusters that are reached by SSH" test -x /usr/sbin/sshd
  need tcsh "a login shell that is none of POSIX's, for the same" command -v tcsh
  need openssl "certificates, for the documents' commands" command -v openssl
  need curl "calls to the endpoint, for the same" command -v curl
  need docker-registry "a registry that images are pushed to, for the same" command -v docker-registry
  need gcc "a C compiler, for Go's race detector" command -v "${CC:-gcc}"
  need libc6-dev "the C library's headers, for the same" test -e /usr/include/stdlib.h
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || [ ! -f /etc/debian_version ] || ! command -v apt-get >/dev/null; then
  {
    echo "deps: this machine lacks:"
    printf '  %s\n' "${reasons[@]}"
    if [ -f /etc/debian_version ]; then
      echo "deps: install them as root: apt-get install ${missing[*]}"
    else
      echo "deps: the names are Debian's packages; install what your distribution has for them"
    fi
  } >&2
  exit 1
fi

# Services that come with these packages, and that nobody here asked for: demo and tests start servers of their own, with configurations,
# ports and keys of their own, and a machine must not offer a login by SSH since it ran tests.
services=(munge slurmctld slurmd slurmdbd ssh docker-registry)
policy=/usr/sbin/policy-rc.d
keep_services_down() {
  # invoke-rc.d and deb-systemd-invoke ask this program before they start anything, with systemd and without. Where the machine has one
  # already, as containers do, that has the last word.
  [ ! -e "$policy" ] || return 0
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\ncase ${1%%.service} in\n%s) exit 101 ;;\nesac\n' "$(IFS='|'; echo "${services[*]}")" >"$policy"
  chmod 755 "$policy"
}
keep_services_disabled() { # those that were just installed: at the next boot they would start
  local service package
  for service in "${services[@]}"; do
    package=$service
    [ "$service" != ssh ] || package=openssh-server
    [[ " ${missing[*]} " == *" $package "* ]] || continue
    if command -v systemctl >/dev/null; then
      systemctl --quiet disable "$service.service" >/dev/null 2>&1 || true
    fi
    update-rc.d "$service" disable >/dev/null 2>&1 || true
  done
}

echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
keep_services_down
apt-get -qq update
apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
keep_services_disabled
