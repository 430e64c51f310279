package main

import (
	"fmt"
	"slices"
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

func (f few) String() string { return named(f.names, f.n) }

// named names the first of so many, and counts the others.
func named(first []string, all int) string {
	if more := all - len(first); more > 0 {
		first = append(slices.Clip(first), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(first, ", ")
}
