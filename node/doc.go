// Package node puts the parts together: one running peer.
//
// A Node opens the socket, the index and the swarm, routes what arrives to the
// handlers of swarm, transfer and talk, and owns every goroutine: Close waits for
// all of them. It makes no decision about content, peers or limits itself.
package node
