// Package control reaches the node of another process: HTTP with JSON on a unix socket in
// the state folder.
//
// [Server] answers for the process that owns the state folder, and [Client] asks it. A Client
// has the methods of a node, so that a command does its work by it as by a node of its own,
// with the same errors: what the far side returned satisfies errors.Is and errors.As here as
// it did there ([Error]).
//
// What it promises:
//   - Only the user who runs the server reaches it: the socket and its folder are his alone.
//     Where the system tells who calls (Linux, macOS, FreeBSD), another user that was let in,
//     such as root, is known as another one ([Caller]): for him no file is read or written by its path.
//   - A client whose [API] is another number gets one clear error, and nothing is done.
//   - An answer that stops in the middle is [ErrGone], never taken for the whole.
//
// There is one file a concern: the documents, the handlers over a small interface, and the
// client's half. Long work answers with JSON lines ([Stream]): events, then an end or an error.
package control

// API is the number of the interface. It grows when an old client would misunderstand a new
// server, or the other way round; additions leave it alone.
const API = 1
