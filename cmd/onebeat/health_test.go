package main

import (
	"net"
	"strings"
	"testing"
	"time"
)

// A frozen daemon's system still takes connections for it.
func TestHealthTellsAFrozenDaemonFromNone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if _, err := askHealth(address, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "does not answer within 50ms: is it frozen") {
		t.Errorf("health of one that is frozen = %v, want it to say so", err)
	}
	listener.Close()
	if _, err := askHealth(address, 5*time.Second); err == nil || !strings.HasPrefix(err.Error(), "no daemon answers at ") {
		t.Errorf("health of none = %v, want it to say so", err)
	}
}
