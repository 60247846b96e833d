package main

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"sharer/chunk"
	"sharer/wire"
)

// pretended is a content of any size of which some parts are there: their bytes are made by a formula, their blocks match their leaves, and
// what hangs from the rest of the tree was made up. So it takes no more memory and time than the parts.
type pretended struct {
	size  int64
	shape chunk.Shape
	parts []chunk.Range // bytes, from block to block
	root  chunk.Hash

	mu    sync.Mutex
	nodes map[spot]chunk.Hash // above blocks that are there
}

// spot is a place in the tree.
type spot struct {
	level int
	i     int64
}

// pretend makes a content of more than one block.
func pretend(size int64, parts ...chunk.Range) *pretended {
	p := &pretended{size: size, shape: chunk.ShapeOf(size), parts: parts, nodes: map[spot]chunk.Hash{}}
	top := p.shape.Levels() - 1
	p.root = chunk.RootOf(p.node(top, 0), p.node(top, 1))
	return p
}

// held says whether a byte of from <= i < to is there.
func (p *pretended) held(from, to int64) bool {
	return slices.ContainsFunc(p.parts, func(r chunk.Range) bool { return r.From < to && from < r.To })
}

// pieceNodes is how many nodes of a level are verified at once by those above them: see chunk.Shape.
const pieceNodes = 128

// node is a leaf's chaining value, or what follows from those below. It is made up where no block under it is there, and where no piece of the
// tree with one that is comes right below it: then nothing can be compared with it.
func (p *pretended) node(level int, i int64) (h chunk.Hash) {
	from, blocks := i, int64(1)
	if level > 0 {
		blocks = pieceNodes << (level - 1)
		from = 2 * i / pieceNodes * blocks
	}
	if !p.held(from*chunk.BlockSize, (from+blocks)*chunk.BlockSize) {
		binary.LittleEndian.PutUint64(h[:], uint64(i))
		h[31] = byte(level)
		return h
	}
	if h, ok := p.nodes[spot{level, i}]; ok {
		return h
	}
	switch {
	case level == 0:
		h = chunk.LeafCV(p.read(nil, i*chunk.BlockSize, p.shape.BlockLen(i)), i)
	case 2*i+1 < p.shape.LevelLen(level-1):
		h = chunk.ParentCV(p.node(level-1, 2*i), p.node(level-1, 2*i+1))
	default: // carried up
		h = p.node(level-1, 2*i)
	}
	p.nodes[spot{level, i}] = h
	return h
}

// read appends n bytes of the content, from a multiple of eight on.
func (p *pretended) read(dst []byte, off int64, n int) []byte {
	end := len(dst) + n
	for ; len(dst) < end; off += 8 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(off)*0x9E3779B97F4A7C15)
	}
	return dst[:end]
}

// readTree appends bytes of the tree file, from a node to a node or from its head on.
func (p *pretended) readTree(dst []byte, off int64, n int) []byte {
	end := min(off+int64(n), p.shape.FileSize())
	if off == 0 {
		dst = append(append(append(dst, 'B', '3', 'T', 2), make([]byte, 28)...), p.root[:]...)
		off = 64
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for level := p.shape.Levels() - 1; level >= 0; level-- {
		for first := p.shape.Offset(level, 0); off < end && off < first+32*p.shape.LevelLen(level); off += 32 {
			h := p.node(level, (off-first)/32)
			dst = append(dst, h[:]...)
		}
	}
	return dst
}

// responder is a peer without a file: it answers for a pretended content, in base64 or raw, and echoes cookies.
type responder struct {
	*pretended
	conn *net.UDPConn
	have []wire.Range
}

// respond starts so many responders, which end with stop.
func respond(p *pretended, n int) (addrs []netip.AddrPort, stop func() error, err error) {
	var wg sync.WaitGroup
	var conns []*net.UDPConn
	stop = func() (err error) {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
		wg.Wait()
		return err
	}
	for range n {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		conns = append(conns, conn)
		if err := conn.SetReadBuffer(1 << 20); err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		r := &responder{pretended: p, conn: conn}
		for _, part := range p.parts {
			r.have = append(r.have, wire.Range{From: part.From, To: part.To})
		}
		addrs = append(addrs, conn.LocalAddr().(*net.UDPAddr).AddrPort())
		wg.Go(r.run)
	}
	return addrs, stop, nil
}

// run answers until the socket is closed. What cannot be read or sent is as good as lost.
func (r *responder) run() {
	in, out := make([]byte, wire.MaxDatagram), make([]byte, 0, 1<<16)
	cookies := map[netip.AddrPort][]byte{} // of the few who ask on this machine
	var es []wire.Element
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if es, _, err = wire.Split(es[:0], in[:n]); err != nil {
			continue
		}
		for _, e := range es {
			if m, err := wire.ParsePleaseAlwaysReturnThisMessage(e.Payload); err == nil && e.Name == m.Name() {
				cookies[from] = slices.Clone(m.Value)
			}
		}
		for _, e := range es {
			m, err := wire.ParsePleaseSendContent(e.Payload)
			if e.Name != m.Name() || err != nil {
				continue
			}
			answer, data := r.answer(m)
			if answer == nil {
				continue
			}
			out = append(wire.AppendArray(out[:0], answer, wire.AlwaysReturned{Value: cookies[from]}), data...)
			_, _ = r.conn.WriteToUDPAddrPort(out, from)
		}
	}
}

// answer returns what is said to a question, and what follows that raw.
func (r *responder) answer(m wire.PleaseSendContent) (answer wire.Message, raw []byte) {
	id, err := chunk.ParseID(m.ID)
	if err != nil || id.Hash != r.root {
		return nil, nil
	}
	const most = 40960 // bytes of an answer
	c := wire.Content{ID: m.ID, Offset: m.Offset, EOF: r.size, Have: r.have}
	part := slices.IndexFunc(r.parts, func(p chunk.Range) bool { return p.From <= m.Offset && m.Offset < p.To })
	switch {
	case id.Kind == chunk.BLAKE3Tree:
		c.EOF, c.Have = r.shape.FileSize(), nil
		c.Data = r.readTree(nil, m.Offset, int(min(m.Length, most)))
	case part < 0:
		return wire.MaybeTheyHaveSome{ID: m.ID, Have: r.have}, nil
	default:
		n := int(min(m.Length, most, r.parts[part].To-m.Offset))
		c.Data = r.read(make([]byte, 0, n+8), m.Offset, n)
	}
	if m.Raw == 0 {
		return c, nil
	}
	c.ID, c.For = nil, m.Raw
	return c, c.Data
}

// link is that of the content.
func (p *pretended) link() string { return "blake3/" + p.root.String() }
