// Package swarm knows who is out there, and is the only way out to them.
//
// It promises
//   - that whatever is sent passes the [Gate] with a [Reason], and that the table [Rules]
//     bounds it by reason, proof and class of the address: an address that has not proven
//     itself never gets more than twice what it sent, and one that never spoke gets three
//     small datagrams a day;
//   - that a sender counts as proven by a keyed cookie that came back ([Cookies]), that no
//     state is kept for strangers, and that the cookies of others are echoed byte for byte;
//   - that every map has a cap: [MaxPeers], [MaxUnproven], [MaxPerNet], [MaxIDs];
//   - that addresses are believed from proven peers only, tried gently, and passed on only
//     to those who could reach them;
//   - that a peer is its address in the one form that [Clean] makes, wherever it is named. A peer
//     with an IPv4 and an IPv6 address is two, and one whose address changes is a new one: nothing
//     but an address names a peer yet;
//   - that whoever answers and was heard of early stays when the table is full (room.go), and that
//     neither a pause of the process nor a wall clock that is set makes a storm or a loss.
//
// It does not know content, rates of transfers, or what a message means beyond the four
// that it handles itself (PleaseSendPeers, Peers, PleaseReturnThisMessage, ReturnedMessage).
//
// The way of a datagram: the node counts it ([Gate.ReceivedBatch]), splits it, asks [Gate.Admit]
// who sent it, dispatches it, and hands the replies to [Gate.Reply]; those that send on their
// own account hold a [Batch], which tells what the socket refused. A [Meter] is charged with all
// that passes. [Table] owns all that is known about addresses, behind one lock. [Swarm] bundles
// the parts; [Swarm.Run] is the only goroutine.
package swarm
