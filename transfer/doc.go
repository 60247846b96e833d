// Package transfer moves content: downloads decide what to ask of whom and how
// fast, uploads decide what to answer and how fast.
//
// It promises
//   - that a byte under a blake3 id is written, counted and served only after it
//     was verified against the id, and a byte under a sha256 id is served only
//     after the whole was;
//   - that a download ends well if one reachable honest peer holds each block,
//     whatever the others send: a peer is asked only at the size that it claims
//     itself, so what it sends amiss is its own fault and nobody else's;
//   - that memory is bounded whatever a peer claims: stripes come from a fixed
//     pool, a size is a claim until the path of the last block verifies;
//   - that the receive path never waits: arrivals go to bounded queues, a full
//     one drops, and what is dropped is asked again.
//
// It does not know sockets, folders or commands. Datagrams leave through a
// [Batch] of the gate; contents come from a [Source]; both are declared here
// and met by node.
//
// The pure cores (window, flights, picker, turns) hold no goroutine, clock, lock or
// socket: they are told the time and return what to do. A [Download] is owned by
// its loop.
package transfer
