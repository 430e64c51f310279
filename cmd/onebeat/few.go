package main

import (
	"fmt"
	"strings"
)

// A few are things of which there may be millions: the first are named, the others counted.
type few struct {
	names []string
	n     int // of all
}

// add counts one more, and asks for its name if it is among the first.
func (f *few) add(name func() string) {
	const most = 5
	if f.n++; f.n <= most {
		f.names = append(f.names, name())
	}
}

func (f few) String() string {
	names := strings.Join(f.names, ", ")
	if more := f.n - len(f.names); more > 0 {
		names += fmt.Sprintf(", and %d more", more)
	}
	return names
}
