package stopped

import (
	"os"
	"sync"
)

// A sign is a lock on a file beside the database, on the byte whose place is the process's id. It ends with the
// process, and who asks for that byte is told who has it, and need not ask the one that is stopped.
type sign struct {
	path  string
	file  *os.File
	shown int // how often
}

// signs are this process's. There is one of a path: whoever closes a file lets go of all locks of its
// process on it.
var signs = struct {
	mu     sync.Mutex
	byPath map[string]*sign
}{byPath: map[string]*sign{}}

func show(database, path string) (*sign, error) {
	signs.mu.Lock()
	defer signs.mu.Unlock()
	s := signs.byPath[path]
	if s == nil {
		file, err := Beside(database, path)
		if err != nil {
			return nil, err
		}
		if err := lock(file, placeOf(os.Getpid())); err != nil {
			_ = file.Close()
			return nil, err
		}
		s = &sign{path: path, file: file}
		signs.byPath[path] = s
	}
	s.shown++
	return s, nil
}

func (s *sign) hide() {
	signs.mu.Lock()
	defer signs.mu.Unlock()
	if s.shown--; s.shown == 0 {
		delete(signs.byPath, s.path)
		_ = s.file.Close()
	}
}

// of says whether another process shows this sign.
func (s *sign) of(id int) bool { return holderOf(int(s.file.Fd()), placeOf(id)) == id }

func placeOf(id int) span { return span{int64(id), 1} }
