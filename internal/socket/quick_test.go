package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair is two ends of a connection, the first of them quick.
func pair(t *testing.T, network, at string) (net.Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.Dial(network, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return Quick(ours), theirs
}

// What goes through it is what went in, also when the other end is slow to read, and writes are
// larger than what the system holds for it.
func TestAQuickConnectionCarriesAll(t *testing.T) {
	for network, at := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		ours, theirs := pair(t, network, at)
		text := make([]byte, 24<<20)
		for i := range text {
			text[i] = byte(i * i >> 7)
		}
		var both sync.WaitGroup
		both.Go(func() { // sends all back
			if _, err := io.CopyBuffer(struct{ io.Writer }{theirs}, io.LimitReader(theirs, int64(len(text))), make([]byte, 1<<10)); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			for i, size := 0, 1; i < len(text); size = size*3%(2*quickSize) + 1 {
				end := min(i+size, len(text))
				if n, err := ours.Write(text[i:end]); n != end-i || err != nil {
					t.Errorf("%s: %d of %d bytes were written: %v", network, n, end-i, err)
					return
				}
				i = end
			}
		})
		got := make([]byte, len(text))
		if _, err := io.ReadFull(ours, got); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: not all came back as it was: %v", network, err)
		}
		both.Wait()
	}
}

// quickSize is about where a connection begins to write in another way.
const quickSize = 64 << 10

func TestAQuickConnectionEnds(t *testing.T) {
	ours, theirs := pair(t, "tcp", "127.0.0.1:0")
	room := make([]byte, 10)
	if err := ours.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := ours.Read(room); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("of a silent end %d bytes came, %v; want its deadline", n, err)
	}
	if err := ours.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if n, err := ours.Read(room); string(room[:n]) != "last" || err != nil {
		t.Errorf("read %q, %v", room[:n], err)
	}
	if n, err := ours.Read(room); n != 0 || err != io.EOF {
		t.Errorf("after the end %d bytes came, %v; want EOF", n, err)
	}
	var err error
	for range 1000 { // until the system knows
		if _, err = ours.Write(room); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a write to an end that is gone: %v, want a broken connection", err)
	}

	ours, _ = pair(t, "tcp", "127.0.0.1:0")
	time.AfterFunc(10*time.Millisecond, func() { ours.Close() })
	if _, err := ours.Read(room); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of what was closed meanwhile: %v", err)
	}
}
