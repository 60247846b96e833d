//go:build !purego && !nooffload

package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sharer/wire"
)

// offload is how a socket moves many datagrams with one system call: UDP_SEGMENT (GSO) for sending, UDP_GRO for
// receiving (udp(7)). Both are chosen in setUp and nowhere else.
type offload struct {
	raw     syscall.RawConn
	domain  int                                 // AF_INET or AF_INET6
	gso     atomic.Bool                         // off for good once a device has refused
	narrow  atomic.Pointer[map[netip.Addr]int]  // replaced, never changed: see tooWide
	segment func(ds []wire.Datagram) unix.Errno // sends a run as segments; tests put another in its place

	// Of the reader's goroutine.
	in    receiver
	zones map[uint32]string // names of interfaces
}

// maxNarrow bounds how many destinations are remembered that take no segments of a size.
const maxNarrow = 256

// setUp finds out what the kernel can do. An old one that has neither is no error.
func (s *sock) setUp(fd int, o Options) (err error) {
	f := &s.offload
	if f.raw, err = s.conn.SyscallConn(); err != nil {
		return err
	}
	if f.domain, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
		return err
	}
	f.segment = s.sendSegments
	f.in.init(s.buf)
	if o.Single {
		return nil
	}
	_, err = unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	f.gso.Store(err == nil)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	return nil
}

// writeRun sends the first of ds, and with it as many more as one system call takes. It returns how many left,
// and the error of the one after them.
func (s *sock) writeRun(ds []wire.Datagram) (int, error) {
	n := 1
	if s.offload.gso.Load() {
		n = runLength(ds)
	}
	ip, size := ds[0].Addr.Addr(), len(ds[0].Data)
	if n > 1 && ip.Zone() == "" && !s.offload.tooWide(ip, size) {
		switch errno := s.offload.segment(ds[:n]); errno {
		case 0:
			return n, nil
		case unix.EIO: // the device has no checksum offload
			s.offload.gso.Store(false)
		case unix.EMSGSIZE, unix.EINVAL: // the way's MTU; kernels differ
			s.offload.note(ip, size)
		default:
			return 0, os.NewSyscallError("sendmsg", errno)
		}
	}
	for i := range ds[:n] {
		if err := s.write(ds[i].Data, ds[i].Addr); err != nil {
			return i, err
		}
	}
	return n, nil
}

// tooWide says whether segments of so many bytes were refused on the way to ip: a segment must fit the MTU,
// while a datagram of its own is cut into fragments.
func (f *offload) tooWide(ip netip.Addr, size int) bool {
	m := f.narrow.Load()
	if m == nil {
		return false
	}
	least, ok := (*m)[ip]
	return ok && size >= least
}

// note remembers that segments of so many bytes were refused on the way to ip.
func (f *offload) note(ip netip.Addr, size int) {
	for {
		old := f.narrow.Load()
		m := make(map[netip.Addr]int)
		if old != nil && len(*old) < maxNarrow {
			for k, v := range *old {
				m[k] = v
			}
		}
		if least, ok := m[ip]; !ok || size < least {
			m[ip] = size
		}
		if f.narrow.CompareAndSwap(old, &m) {
			return
		}
	}
}

// sender is the memory of one system call that sends segments.
type sender struct {
	hdr   unix.Msghdr
	iov   [maxSegments]unix.Iovec
	cmsg  [unix.SizeofCmsghdr + 8]byte // CMSG_SPACE of a uint16
	addr4 unix.RawSockaddrInet4
	addr6 unix.RawSockaddrInet6
	errno unix.Errno
	call  func(fd uintptr) bool
}

var senders = sync.Pool{New: func() any {
	s := new(sender)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.cmsg[0]))
	h.SetLen(unix.CmsgLen(2))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	s.hdr.Iov = &s.iov[0]
	s.hdr.Control = &s.cmsg[0]
	s.hdr.SetControllen(unix.CmsgSpace(2))
	s.call = func(fd uintptr) bool {
		for {
			_, _, s.errno = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.hdr)), 0)
			if s.errno != unix.EINTR {
				return s.errno != unix.EAGAIN
			}
		}
	}
	return s
}}

// sendSegments sends a run with one system call.
func (s *sock) sendSegments(ds []wire.Datagram) unix.Errno {
	m := senders.Get().(*sender)
	defer senders.Put(m)
	for i := range ds {
		m.iov[i].Base = unsafe.SliceData(ds[i].Data)
		m.iov[i].SetLen(len(ds[i].Data))
	}
	m.hdr.SetIovlen(len(ds))
	binary.NativeEndian.PutUint16(m.cmsg[unix.CmsgLen(0):], uint16(len(ds[0].Data)))
	to := ds[0].Addr
	if s.offload.domain == unix.AF_INET {
		m.addr4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(to.Port()), Addr: to.Addr().As4()}
		m.hdr.Name, m.hdr.Namelen = (*byte)(unsafe.Pointer(&m.addr4)), unix.SizeofSockaddrInet4
	} else {
		m.addr6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(to.Port()), Addr: to.Addr().As16()}
		m.hdr.Name, m.hdr.Namelen = (*byte)(unsafe.Pointer(&m.addr6)), unix.SizeofSockaddrInet6
	}
	err := s.offload.raw.Write(m.call)
	clear(m.iov[:len(ds)])
	if err != nil {
		return unix.EBADF // closed; write will say so
	}
	return m.errno
}

// swapped turns a port into or out of the order of the network.
func swapped(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// receiver is the memory of the system call that receives.
type receiver struct {
	hdr   unix.Msghdr
	iov   unix.Iovec
	cmsg  [unix.SizeofCmsghdr + 8]byte // CMSG_SPACE of an int32
	addr  unix.RawSockaddrInet6        // the larger one
	n     int
	errno unix.Errno
	call  func(fd uintptr) bool
}

func (m *receiver) init(buf []byte) {
	m.iov.Base = unsafe.SliceData(buf)
	m.iov.SetLen(len(buf))
	m.hdr.Iov = &m.iov
	m.hdr.SetIovlen(1)
	m.hdr.Name = (*byte)(unsafe.Pointer(&m.addr))
	m.hdr.Control = &m.cmsg[0]
	m.call = func(fd uintptr) bool {
		for {
			m.hdr.Namelen = unix.SizeofSockaddrInet6
			m.hdr.SetControllen(len(m.cmsg))
			n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&m.hdr)), 0)
			if m.n, m.errno = int(n), errno; errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	}
}

// segment is the size of the datagrams that were received as one, 0 if it is one.
func (m *receiver) segment() int {
	if m.hdr.Controllen < unix.SizeofCmsghdr+4 {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&m.cmsg[0]))
	if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(m.cmsg[unix.CmsgLen(0):])))
}

// read waits for what comes next; see cut for segment.
func (s *sock) read() (n int, from netip.AddrPort, segment int, err error) {
	m := &s.offload.in
	if err := s.offload.raw.Read(m.call); err != nil {
		return 0, netip.AddrPort{}, 0, err
	}
	if m.errno != 0 {
		return 0, netip.AddrPort{}, 0, os.NewSyscallError("recvmsg", m.errno)
	}
	if s.offload.domain == unix.AF_INET {
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(&m.addr))
		from = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), swapped(a.Port))
	} else {
		ip := netip.AddrFrom16(m.addr.Addr).Unmap()
		if m.addr.Scope_id != 0 && ip.Is6() {
			ip = ip.WithZone(s.offload.zone(m.addr.Scope_id))
		}
		from = netip.AddrPortFrom(ip, swapped(m.addr.Port))
	}
	return m.n, from, m.segment(), nil
}

// zone is the name of an interface, as the net package has it: the number where it has none.
func (f *offload) zone(index uint32) string {
	if name, ok := f.zones[index]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(index), 10)
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		name = i.Name
	}
	if f.zones == nil || len(f.zones) >= maxSockets {
		f.zones = map[uint32]string{}
	}
	f.zones[index] = name
	return name
}
