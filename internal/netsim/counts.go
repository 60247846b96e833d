package netsim

import "fmt"

// Outcome is what happened to a datagram.
type Outcome uint8

const (
	Sent        Outcome = iota
	Delivered           // into the receiver's buffer, corrupted or not
	Lost                // by chance: at least one of its packets
	Overflow            // no room in the queue of the link
	Down                // the link is down or dark, or a partition is between
	Unreachable         // nobody has the address
	Full                // no room in the receiver's buffer
	Blocked             // a fragment, where none pass
	Unassembled         // no room to put its fragments together
	Filtered            // a NAT or firewall lets nothing pass from this sender, or does not turn its own traffic back in
	Unmapped            // a NAT has no mapping of the port (any more), or no port to give
)

var outcomes = [...]string{"sent", "delivered", "lost", "overflow", "down", "unreachable", "full", "blocked", "unassembled", "filtered", "unmapped"}

// Counts is what became of datagrams.
type Counts struct {
	Sent, Delivered int

	// Dropped, by reason; see the outcomes of these names.
	Lost, Overflow, Down, Unreachable, Full, Blocked, Unassembled, Filtered, Unmapped int

	InBurst                          int // of Lost: with the link in its bad state
	Duplicated, Reordered, Corrupted int
	Bytes                            int // sent, with IP and UDP headers
	Packets                          int // sent: fragments, where there are some
}

// Dropped is the number of datagrams that did not arrive.
func (c Counts) Dropped() int {
	return c.Lost + c.Overflow + c.Down + c.Unreachable + c.Full + c.Blocked + c.Unassembled + c.Filtered + c.Unmapped
}

func (c *Counts) count(o Outcome) {
	switch o {
	case Sent:
		c.Sent++
	case Delivered:
		c.Delivered++
	case Lost:
		c.Lost++
	case Overflow:
		c.Overflow++
	case Down:
		c.Down++
	case Unreachable:
		c.Unreachable++
	case Full:
		c.Full++
	case Blocked:
		c.Blocked++
	case Unassembled:
		c.Unassembled++
	case Filtered:
		c.Filtered++
	case Unmapped:
		c.Unmapped++
	}
}

func (c *Counts) add(d Counts) {
	c.Sent += d.Sent
	c.Delivered += d.Delivered
	c.Lost += d.Lost
	c.Overflow += d.Overflow
	c.Down += d.Down
	c.Unreachable += d.Unreachable
	c.Full += d.Full
	c.Blocked += d.Blocked
	c.Unassembled += d.Unassembled
	c.Filtered += d.Filtered
	c.Unmapped += d.Unmapped
	c.InBurst += d.InBurst
	c.Duplicated += d.Duplicated
	c.Reordered += d.Reordered
	c.Corrupted += d.Corrupted
	c.Bytes += d.Bytes
	c.Packets += d.Packets
}

func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}
