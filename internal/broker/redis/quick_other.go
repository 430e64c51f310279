//go:build !linux

package redis

import "net"

// quick is a connection as it is.
func quick(conn net.Conn) net.Conn { return conn }
