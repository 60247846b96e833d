package wire

// BatchReader receives datagrams from one socket; one goroutine uses it.
type BatchReader interface {
	// ReadBatch waits for datagrams, which are valid until the next call.
	// net.ErrClosed is the end; other errors pass (an ICMP message, a full table)
	// and reading goes on.
	ReadBatch() ([]Datagram, error)
}
