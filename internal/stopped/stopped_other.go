//go:build !linux

package stopped

import "os"

// able is false: other systems do not tell who has a lock and whether it is stopped in the same way.
const able = false

func lockByte(*os.File, int64) error { return nil }

func holderOfByte(*os.File, int64) int { return 0 }

func holderOf(string, Lock) int { return 0 }

func processOf(int) (process, bool) { return process{}, false }

func kill(int, func() bool) error { return errForeign }
