#!/usr/bin/env bash
# Freeze a release's services, so that tests can run them on a newer schema: scripts/freeze-release.sh COMMIT
# Run it when a release is made, with its tag: from then on every migration is tried under that release's code.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "$1^{commit}")
target=tests/contracts/release
git archive --format=tar "$commit" \
    libs/common/src libs/events/src services/{api,provisioner,monitor,billing}/src \
    tests/__init__.py tests/chaos/__init__.py tests/chaos/slow_provisioner.py tests/light \
    ':!services/provisioner/src/clawdeploy_provisioner/openclaw/locked' |
    xz -9e >"$target/services.tar.xz"
echo "$commit" >"$target/commit"
echo "$(git log -1 --format='%h %s' "$commit"): $(stat -c %s "$target/services.tar.xz") bytes"
