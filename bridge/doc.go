// Package bridge is the local node as everybody's post office. Pages talk to it by
// WebSocket, programs by UDP from loopback; both say the arrays that the wire has, and are
// called guests here.
//
//	node → page      [{"YourEd25519":{…}}], then [{"Forwarded":{…}}] for each datagram that arrives
//	guest → node     [{"Forward":{"to_ed25519":"…","messages":[…],"sign":true}}]
//	anything else    a question to the local node; the answer goes to that guest alone
//
// What it promises:
//   - No guest holds up the node or another guest: what waits for one is bounded, and a page
//     that does not keep up is closed.
//   - What leaves for a guest goes to keys, to peers that have proven their address, and to
//     addresses that this guest has heard from; within a budget that all pages of one origin
//     share; and through the gate, as everything does.
//   - A guest may ask the node, and make it send. It is never believed: what would be the word
//     of a peer is not passed on to the node.
//   - A program is a guest once it has said Forward, and for a minute after it last spoke.
//     Another node on this machine is never taken for one, and a Forwarded is not forwarded
//     again.
//
// What it does not do: who may open a page's connection is decided by whoever serves it (Host,
// Origin, permissions); keys, encryption and cookies are the node's.
package bridge
