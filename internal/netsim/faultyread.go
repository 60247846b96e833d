package netsim

import (
	"net"
	"sync"

	"sharer/wire"
)

// faultyReader reads in a goroutine, so that an error can come while it waits.
type faultyReader struct {
	under wire.BatchReader
	ask   chan struct{} // for another batch
	got   chan batch
	errs  chan error
	done  chan struct{} // closed: no more reading
	once  sync.Once     // closes done

	asked bool // and not answered; of the one goroutine that calls ReadBatch
}

type batch struct {
	ds  []wire.Datagram
	err error
}

// ReadBatch returns what the socket does, or an error that was to come back.
func (r *faultyReader) ReadBatch() ([]wire.Datagram, error) {
	select {
	case <-r.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case err := <-r.errs:
		return nil, err
	default:
	}
	if !r.asked {
		r.asked = true
		r.ask <- struct{}{}
	}
	select {
	case <-r.done:
		return nil, net.ErrClosed
	case err := <-r.errs:
		return nil, err
	case b := <-r.got:
		r.asked = false
		return b.ds, b.err
	}
}

// run reads when it is asked to: what was read before may be overwritten only then.
func (r *faultyReader) run() {
	for {
		select {
		case <-r.done:
			return
		case <-r.ask:
		}
		ds, err := r.under.ReadBatch()
		r.got <- batch{ds, err} // there is room: it was asked for one
	}
}
