//go:build !linux

package portmap

import (
	"errors"
	"net/netip"
)

// defaultGateway is not known here: the user names the gateway.
func defaultGateway(bool) (netip.Addr, error) {
	return netip.Addr{}, errors.New("the gateway is not known on this system; name it with --port-mapping ADDR")
}
