// Package sim runs whole nodes on a simulated network, next to peers that lie, and judges everything that
// they send by rules that do not know the implementation. It is for tests, inside a testing/synctest bubble:
//
//	synctest.Test(t, func(t *testing.T) {
//		w := sim.New(t, sim.Options{Seed: 7, Link: netsim.Link{Rate: 1e6, Queue: 1 << 17, Delay: 20 * time.Millisecond}})
//		defer w.Close()
//		s := w.Seeder(node.Config{}, 1_000_000)
//		liar := w.Evil(sim.Truth(s.Contents...), sim.Flip(0.1))
//		n := w.Node(node.Config{Peers: []netip.AddrPort{liar.At, s.At}})
//		n.Fetch(s.Contents[0].BLAKE3())
//		if liar.Lies() == 0 { … } // or the test proves nothing
//	})
//
// What it promises:
//   - Every [World] is watched by all checkers, C1 to C7 of the reliability list; none can be switched off. What they
//     know, they know from the datagrams as the network carried them, from the files, and from node.Stats.
//   - C3, the budget of the unproven, is made from swarm.Rules: a row that changes there changes the checker.
//   - A broken rule fails the test once it is seen, with the seed, the virtual time, the datagram, and the last lines of the trace.
//   - Whatever is drawn, is drawn from the seed: contents, secrets of nodes by their address, choices of liars.
//
// What it does not promise: that two runs of a seed are equal. Goroutines of one instant run in any order; how often
// the traces of two runs are equal is measured by the long runs, not assumed. Polling node.Stats wakes the loops of
// downloads now and then (see Options.Poll), so a timer that is missing there may go unnoticed for so long.
package sim
