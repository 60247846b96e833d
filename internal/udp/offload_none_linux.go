//go:build purego || nooffload

package udp

// setUp has nothing to find out.
func (s *sock) setUp(int, Options) error { return nil }
