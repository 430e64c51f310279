// Package socket makes connections that cost little where few bytes come and go, now and then.
package socket

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// A quickConn reads and writes a socket that never blocks without telling the runtime of it. The
// runtime, when it is told by a process that was asleep, wakes its watcher of threads, which then looks
// each twenty microseconds whether the call has blocked: for a message that leaves alone that is a third of
// the processor time, and so it is for a question to a database.
type quickConn struct {
	net.Conn
	raw syscall.RawConn
}

// quickMost bounds what is written so: the garbage collector waits for it.
const quickMost = 64 << 10

// Quick returns a connection to use in place of conn, if it is a socket of the system.
func Quick(conn net.Conn) net.Conn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	return &quickConn{conn, raw}
}

// Read implements net.Conn.
func (c *quickConn) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return c.Conn.Read(into)
	}
	n, err := c.call("read", syscall.SYS_READ, c.raw.Read, into)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *quickConn) Write(all []byte) (int, error) {
	if len(all) > quickMost {
		return c.Conn.Write(all)
	}
	for done := 0; done < len(all); {
		n, err := c.call("write", syscall.SYS_WRITE, c.raw.Write, all[done:])
		if done += n; err != nil {
			return done, err
		}
	}
	return len(all), nil
}

// call reads or writes some bytes once the socket is ready for it.
func (c *quickConn) call(name string, number uintptr, ready func(func(fd uintptr) bool) error, bytes []byte) (n int, err error) {
	var refused syscall.Errno
	err = ready(func(fd uintptr) bool {
		for {
			var done uintptr
			done, _, refused = syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(bytes))), uintptr(len(bytes)))
			if refused != syscall.EINTR {
				n = int(done)
				return refused != syscall.EAGAIN
			}
		}
	})
	if err == nil && refused != 0 {
		n, err = 0, &net.OpError{Op: name, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(name, refused)}
	}
	if err != nil {
		n = 0
	}
	return n, err
}
