#!/bin/sh
# The account of the service has the conversations; everybody else has their own, with the same models.
export EDGED_ENGINES_DIR="${EDGED_ENGINES_DIR:-/usr/share/edged/engines}"
exec /usr/lib/edged/bin/edged "$@"
