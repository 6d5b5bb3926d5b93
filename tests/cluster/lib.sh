# shellcheck shell=bash
# Common settings; sourced by every script here. Nothing below names a fixed
# place: all that is built or written lies in the cache folder.
#
# Settings (environment):
#   CLUSTER_NAME   name of the cluster and of its node          (dev)
#   CLUSTER_INDEX  0 to 50, chooses its addresses; two clusters
#                  that are up at once need different ones      (0)
#   XDG_CACHE_HOME where the cache folder is                    (~/.cache)
set -euo pipefail

HERE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
NAME=${CLUSTER_NAME:-dev}
INDEX=${CLUSTER_INDEX:-0}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kube-cluster
BIN=$CACHE/bin       # what `build` made
IMAGES=$CACHE/images # image archives that `up` loads into every new node
RUN=$CACHE/run/$NAME # one cluster's state, logs and kubeconfig

# Addresses: all of $NET.0.0/16 and $NET6::/32 is routed through the node.
NET=10.$((200 + INDEX))
NET6=$(printf 'fdcc:%x' "$INDEX")
HOST_IP=$NET.0.1 HOST_IP6=$NET6::1 # this machine, as the node and the pods see it
NODE_IP=$NET.0.2 NODE_IP6=$NET6::2
LB_NET=$NET.32 LB_NET6=$NET6:0:32: # LoadBalancer Services get .1, :1 and up
PODS=$NET.64.0/18 PODS6=$NET6:0:64::/64
SERVICES=$NET.128.0/17 SERVICES6=$NET6:0:128::/112
API_SERVICE_IP=$NET.128.1
DNS_IP=$NET.128.10
LINK=kc$INDEX   # this machine's end of the link to the node
CGROUP=kc-$NAME # parent of all the containers' control groups

export KUBECONFIG=$RUN/kubeconfig
export PATH=$BIN:$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# A process is named by its id and its start time, so that an id used again by
# somebody else is never taken for ours.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() { # FILE: prints the id while the process recorded there lives
    local pid began
    [ -s "$1" ] || return 1
    read -r pid began <"$1"
    [ -n "$began" ] && [ "$(start_time "$pid")" = "$began" ] && echo "$pid"
}
is_up() { alive "$RUN/init.pid" >/dev/null; }
none_up() { # no cluster at all
    local f
    for f in "$CACHE"/run/*/init.pid; do ! alive "$f" >/dev/null || return 1; done
}

# Runs a command inside the node: its mounts, network and processes.
in_node() {
    is_up || die "cluster $NAME is not up"
    nsenter --target "$(alive "$RUN/init.pid")" --mount --net --pid -- "$@"
}

import() { # ARCHIVE: into the node's images; quiet unless it fails
    local out
    out=$(in_node ctr -n k8s.io images import - <"$1" 2>&1) || die "import of $1: $out"
}

# Copies a program's shared libraries, if it has any, into a root folder.
copy_libraries() { # PROGRAM ROOT
    local l
    ldd "$1" >/dev/null 2>&1 || return 0
    for l in $(ldd "$1" | grep -o '/[^ ]*'); do mkdir -p "$2$(dirname "$l")" && cp -L "$l" "$2$l"; done
}
