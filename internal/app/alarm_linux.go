package app

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An alarm wakes its goroutine at an instant, to a tenth of a millisecond. The runtime's timers
// count in whole milliseconds where all its threads sleep, as between two slots: half a millisecond of
// lateness, and a second thread woken to find nothing to do.
type alarm struct {
	file *os.File // a timer of the system (timerfd_create(2))
	raw  syscall.RawConn
}

// newAlarm returns an alarm, which is to be closed, or nil where the system has none to give.
func newAlarm() *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), "timer")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil
	}
	return &alarm{file, raw}
}

func (a *alarm) close() {
	if a != nil {
		_ = a.file.Close()
	}
}

// sleep waits for length or until ctx ends, and says whether ctx has not. Seldom it wakes early. One
// goroutine sleeps at a time.
func (a *alarm) sleep(ctx context.Context, length time.Duration) bool {
	if !a.set(length) {
		return ctx.Err() == nil
	}
	defer context.AfterFunc(ctx, func() { a.set(0) })()
	var count [8]byte
	// It fails once the alarm is closed.
	_ = a.raw.Read(func(fd uintptr) bool {
		// It never blocks. The runtime is not told of the call, for it would wake its watcher of threads.
		_, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		return err != unix.EAGAIN
	})
	return ctx.Err() == nil
}

// set makes the alarm go off after a length of time, at once for none.
func (a *alarm) set(length time.Duration) (done bool) {
	after := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(length), 1))} // 0 would be never
	err := a.raw.Control(func(fd uintptr) {
		_, _, refused := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&after)), 0, 0, 0)
		done = refused == 0
	})
	return err == nil && done
}
