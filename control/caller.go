package control

import (
	"context"
	"net"
	"os"
)

// Caller is who asks.
type Caller struct {
	UID  int  // -1: the system does not tell
	Same bool // the user who runs the server; true where the system does not tell, since nobody else can open the socket
}

type callerKey struct{}

// CallerOf is who asked for what runs under ctx; the server itself when nobody did.
func CallerOf(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{UID: os.Getuid(), Same: true}
}

func withCaller(ctx context.Context, conn net.Conn) context.Context {
	c := Caller{UID: -1, Same: true}
	if uid, ok := peerUID(conn); ok {
		c = Caller{UID: uid, Same: uid == os.Getuid()}
	}
	return context.WithValue(ctx, callerKey{}, c)
}
