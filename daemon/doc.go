// Package daemon is a node that one lives with: it keeps what it is told in the state folder,
// goes on with that after a restart, and answers other processes on the control socket.
//
// A foreground seed is a Daemon while it runs; it keeps downloads, limits, pins, bans and peers, but
// not what it seeds, and restores neither seeds nor downloads ([Config].Keep).
//
// What it promises:
//   - What was answered with success is on disk: seeds, jobs and settings survive kill -9, and nothing has to
//     be repaired afterwards. A job goes on from its partial file.
//   - One process owns a state folder; another one gets a *node.LockedError.
//   - Close ends everything within three seconds.
//
// Each concern has a file: the table and the rules, what is restored, and the methods that
// package control serves. A part of its own (gateway, mirrors, metrics) is a field of Daemon that
// Open opens after the node and Close closes before it, in the order of the code.
package daemon
