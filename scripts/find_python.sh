#!/bin/sh
# Print the first Python that can make Serenade's environment: 3.11 or newer, with venv and pip's installer.
# PYTHON=/path/to/python chooses one.
too_old=""
no_venv=""
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        too_old="$too_old $candidate ($version)"
    elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        no_venv="$no_venv $candidate ($version)"
    else
        exec "$candidate" -c 'import sys; print(sys.executable)'
    fi
done
{
    if [ -n "$no_venv" ]; then
        echo "Error: Python was found, but without venv and pip:$no_venv."
        echo "Install them (Debian, Ubuntu: apt install python3-venv) and run make again."
    elif [ -n "$too_old" ]; then
        echo "Error: Serenade needs Python 3.11 or newer; found:$too_old."
        echo "Install a newer one, or name it: make PYTHON=/path/to/python3.11"
    else
        echo "Error: no Python was found (tried: ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python})."
        echo "Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3.11"
    fi
} >&2
exit 1
