# shellcheck shell=bash
# The cluster that .ci/run tests on: KUBECONFIG's, or one made by ../shared/cluster. Sourced; the working folder is
# the repository.

# The cluster's programs are built from source the first time, which takes as long as half of the tests: beside
# them, at the lowest priority, so that nothing there waits for it.
cluster=../shared/cluster
programs=
dockerd=
built=/tmp/garant-cluster-build.log
begin_programs() {
  if [ -n "${KUBECONFIG:-}" ] || [ ! -x $cluster/build ]; then
    return 0
  fi
  nice -n 19 $cluster/build > "$built" 2>&1 &
  programs=$!
}

docker_daemon() {
  if docker info > /dev/null 2>&1; then
    return 0
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q && apt-get install -q -y --no-install-recommends docker.io || return 1
  mkdir -p "$HOME/.cache"
  setsid dockerd > "$HOME/.cache/dockerd.log" 2>&1 < /dev/null &
  dockerd=$!
  for _ in $(seq 60); do
    if docker info > /dev/null 2>&1; then
      return 0
    fi
    sleep 1
  done
  tail -n 20 "$HOME/.cache/dockerd.log" >&2
  return 1
}

helm_for_charts() {
  if [ -n "$programs" ]; then
    wait "$programs" || { tail -n 20 "$built" >&2; return 1; }
  fi
  if command -v helm > /dev/null || ls "$HOME"/.cache/kube/*/bin/helm > /dev/null 2>&1; then
    return 0
  fi
  GOBIN=$PWD/.venv/bin go install helm.sh/helm/v3/cmd/helm@v3.19.5
}

# cluster_up: makes a cluster that nothing was in before, and sets KUBECONFIG. What is left of one whose processes were
# ended from outside (addresses, routes, containers) can keep the next from starting, and only `down` after an `up`
# removes all of it: hence another try.
cluster_up() {
  local try
  $cluster/down || true
  for try in 1 2; do
    KUBECONFIG=$($cluster/up) && export KUBECONFIG && return 0
    echo "try $try to bring a cluster up failed:" >&2
    why_not_up >&2
    $cluster/down || true
  done
  return 1
}

# The folder of the cluster's own kubectl and helm.
cluster_bin() {
  dirname "$(ls "$HOME"/.cache/kube/*/bin/kubectl | tail -n 1)"
}

why_not_up() {
  local state=${KUBE_STATE:-$HOME/.cache/kube/cluster} log
  "$(cluster_bin)/kubectl" --kubeconfig "$state/kubeconfig" --request-timeout 10s describe nodes,pods -A | cut -c 1-300 | tail -n 120
  for log in kubelet containerd; do
    echo "-- the end of $log.log"
    tail -n 20 "$state/logs/$log.log" | cut -c 1-500
  done
  df -h / || true
}

tidy_up() {
  $cluster/down > /dev/null 2>&1 || true
  if [ -n "$dockerd" ]; then
    kill "$dockerd" 2> /dev/null || true
  fi
}

on_a_cluster() {
  if [ -z "${KUBECONFIG:-}" ]; then
    if [ ! -x $cluster/up ]; then
      echo "no KUBECONFIG and no $cluster here: the tests on a cluster were NOT run"
      return 0
    fi
    docker_daemon || return 1
    # Debian's own client: the daemon's BuildKit is its age.
    export PATH="/usr/bin:$PATH"
    trap 'tidy_up' EXIT
    $cluster/base-image && cluster_up || return 1
    export PYTHON_IMAGE=localhost/python:3.11-slim-bookworm CLUSTER_LOAD=$cluster/load-image
    PATH="/usr/bin:$(cluster_bin):$PATH"
    export PATH
  fi
  # CI ends after 90 minutes, and all of this takes about 33: where the tests before took their time, fewer faults
  # (all: docs/operations/prove-it.md).
  if [ -z "${CLUSTER_FAULTS:-}" ] && [ $SECONDS -gt 2900 ]; then
    CLUSTER_FAULTS=kills,kafka,drain,rollout
    if [ $SECONDS -gt 3500 ]; then
      CLUSTER_FAULTS=kills
    fi
    export CLUSTER_FAULTS
    echo "after $SECONDS s only these faults: $CLUSTER_FAULTS"
  fi
  make test-cluster
}
