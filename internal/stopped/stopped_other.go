//go:build !linux

package stopped

import "os"

// able is false: other systems do not tell who has a lock and whether it is stopped in the same way.
const able = false

func lock(*os.File, span) error { return nil }

func holderOf(int, span) int { return 0 }

func isFree(int, span) bool { return false }

func descriptor(string) (int, bool) { return 0, false }

func processOf(int) (process, bool) { return process{}, false }

func kill(int, func() bool) error { return errForeign }
