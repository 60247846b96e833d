package netsim

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
)

var outcomes = [...]string{"sent", "delivered", "lost", "overflow", "down", "unreachable", "full", "blocked", "unassembled"}

// Counts is what became of datagrams.
type Counts struct {
	Sent, Delivered int

	// Dropped, by reason; see the outcomes of these names.
	Lost, Overflow, Down, Unreachable, Full, Blocked, Unassembled int

	InBurst                          int // of Lost: with the link in its bad state
	Duplicated, Reordered, Corrupted int
	Bytes                            int // sent, with IP and UDP headers
	Packets                          int // sent: fragments, where there are some
}

// Dropped is the number of datagrams that did not arrive.
func (c Counts) Dropped() int {
	return c.Lost + c.Overflow + c.Down + c.Unreachable + c.Full + c.Blocked + c.Unassembled
}

func (c *Counts) count(o Outcome) {
	*[...]*int{
		Sent: &c.Sent, Delivered: &c.Delivered, Lost: &c.Lost, Overflow: &c.Overflow, Down: &c.Down,
		Unreachable: &c.Unreachable, Full: &c.Full, Blocked: &c.Blocked, Unassembled: &c.Unassembled,
	}[o]++
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
	c.InBurst += d.InBurst
	c.Duplicated += d.Duplicated
	c.Reordered += d.Reordered
	c.Corrupted += d.Corrupted
	c.Bytes += d.Bytes
	c.Packets += d.Packets
}
