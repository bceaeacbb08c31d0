#!/usr/bin/env bash
# test.sh: the tests of the packages that run on Windows, in Wine, each package in a fresh Windows of its own.
#
# Real there: the registry with its notices, files with their links, named pipes, TLS, processes, the clock. Not there: who
# may write a file (Wine invents descriptors of files from the modes of Linux), the system's account, session 0.
#
# Not in the list, because the tests themselves need a program of Linux: policy/approval and cmd/agent (ssh-keygen),
# policy/render (xmllint, python3), x11 (Xvfb), sdnotify (a datagram socket),
# collector (PostgreSQL, and files that only their owner may read, which is a server's business and no workstation's). Without tests for Windows: all that is Linux alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export GOOS=windows GOARCH=amd64 CGO_ENABLED=0

packages=(audit clock cmd/courier courier doctor enforce idle installer inventory journal link lock netcode notify picture policy policy/file policy/registry session/wts spool tray trusted uplink words)
go test -count=1 -p 2 -timeout 8m -exec "$PWD/test/wine/exec.sh" "${packages[@]/#/./}"

# The mutants of deadline run the go command.
go test -count=1 -p 2 -timeout 8m -exec "$PWD/test/wine/exec.sh" -skip TestMutants ./deadline ./durable

# Files of sinks are written in these tests with paths and modes of Linux.
go test -count=1 -timeout 8m -exec "$PWD/test/wine/exec.sh" -skip 'TestParse$|TestProblems|TestFiles|TestLoad' ./sink
