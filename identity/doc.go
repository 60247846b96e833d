// Package identity is who is speaking: keys, what they sign and seal, where they
// live, and the names that they publish. Bytes in, bytes out.
//
//	k, _, err := identity.OpenKey(path, rand.Reader)   // the node's own key
//	m, err := k.Seal(to, wire.AppendArray(nil, …), rand.Reader)
//	letter, err := opener.Open(work, from, element, now)
//
// What it promises:
//   - A key file is made once, whole or not at all, and never replaced; one that
//     cannot be read is an error and no new identity.
//   - A key that is no point of the curve, not canonically encoded, or of small
//     order is refused wherever it comes from.
//   - Nothing costs more than its budget: nesting, openings of a datagram, of a
//     source and of all strangers together are bounded before the work is done.
//   - Where a key lives changes only when its holder returns a cookie that was made
//     for the new address ([Places]).
//   - A name's content is what the highest signed number says; a lower one is never
//     accepted again while the name is held ([Names]).
//
// What it does not do: sockets, goroutines, and time, which comes in. One-shot Noise IK
// has no forward secrecy against the receiver's key: who gets that key can read what
// was recorded, and a recorded message opens again once [Replays] has forgotten it. A
// signature says who wrote, not to whom nor when: of a signed letter only what carries
// its own proof of place or order (a cookie, a Latest) may be acted on.
//
// Formats: wire.md sections 7 to 9. All tables are safe for concurrent use.
package identity
