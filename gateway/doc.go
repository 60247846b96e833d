// Package gateway is the node as web browsers and local programs see it: contents over
// HTTP while they arrive, the node's own page, uploads, and the place where the bridge
// of web pages is mounted.
//
// What it promises:
//   - No route is reached but through [Gateway.ServeHTTP], which looks at the Host first (a name that
//     merely resolves to this machine gets 421) and then at who asks ([Caller]).
//   - A page that came as content has an origin of its own, and may use nothing of the
//     node until the user has allowed that very content ([Grants]).
//   - A GET changes nothing, and one that another site caused starts no download and
//     tells nothing of what is here.
//   - A request ends: contents that nobody has are 504 after a while, readers and
//     writers that stall are dropped, connections and headers are bounded.
//   - From other machines, if they are let in at all, only what is complete and offered
//     can be read, and nothing else exists.
//
// What it does not: it speaks no TLS, it knows no UDP, and it does not tell users of
// one machine apart: a program that runs here counts as the user's own.
//
// The package declares what it needs of a node ([Contents], [Names], [Uploads], [View]);
// the daemon puts them together.
package gateway
