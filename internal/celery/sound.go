package celery

import (
	"strings"
	"unicode/utf8"
)

// Sound reports whether Template would surely make the task ready, at a small part of
// its cost. False says nothing: only Template knows then, and says why.
//
// Its arguments and options are then JSON by any reader's rules, an array and an object,
// or empty.
func (c *Config) Sound(task Task) bool {
	if task.Name == "" || !utf8.ValidString(task.Name) || !utf8.ValidString(task.Entry) ||
		!plainJSON(task.Args, '[') || !plainJSON(task.Kwargs, '{') {
		return false
	}
	p, err := c.prepare(task)
	return err == nil && p.plain && p.shape.tail != "" // whose body is the texts as they are
}

// plainDepth is how deep plainJSON looks.
const plainDepth = 32

// plainJSON reports whether a text is JSON of a kind, which begins with first, or empty. It knows what most
// rows hold: of the rest it says that it is not.
func plainJSON(text string, first byte) bool {
	if text == "" {
		return true
	}
	if text[0] != first || !utf8.ValidString(text) {
		return false
	}
	var closing [plainDepth]byte
	depth := 0
	for i, after := 0, false; i < len(text); { // after: a value has ended
		c := text[i]
		switch {
		case c == ' ':
			i++
		case after && depth == 0:
			return false
		case after && c == closing[depth-1]:
			i++
			depth--
		case after && c == ',':
			i++
			after = false
			for i < len(text) && text[i] == ' ' {
				i++
			}
			if closing[depth-1] == '}' {
				if i = plainKey(text, i); i < 0 {
					return false
				}
			}
		case after:
			return false
		case c == '[' || c == '{':
			if depth == plainDepth {
				return false
			}
			closing[depth] = c + 2 // of both, in ASCII
			depth++
			i++
			for i < len(text) && text[i] == ' ' {
				i++
			}
			if i < len(text) && text[i] == c+2 {
				i++
				depth--
				after = true
			} else if c == '{' {
				if i = plainKey(text, i); i < 0 {
					return false
				}
			}
		default:
			if i = plainScalar(text, i); i < 0 {
				return false
			}
			after = true
		}
		if i == len(text) {
			return after && depth == 0
		}
	}
	return false
}

// plainKey returns where the value of the key at i begins, or less than 0.
func plainKey(text string, i int) int {
	if i = plainString(text, i); i < 0 {
		return i
	}
	for i < len(text) && text[i] == ' ' {
		i++
	}
	if i == len(text) || text[i] != ':' {
		return -1
	}
	return i + 1
}

// plainString returns where the string at i ends, or less than 0.
func plainString(text string, i int) int {
	if i >= len(text) || text[i] != '"' {
		return -1
	}
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i++; i == len(text) || strings.IndexByte(`"\/bfnrt`, text[i]) < 0 {
				return -1
			}
		}
	}
	return -1
}

// plainScalar returns where the string, number or word at i ends, or less than 0.
func plainScalar(text string, i int) int {
	switch c := text[i]; {
	case c == '"':
		return plainString(text, i)
	case c == '-' || c >= '0' && c <= '9':
		return plainNumber(text, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(text[i:], word) {
			return i + len(word)
		}
	}
	return -1
}

// plainNumber knows integers of 64 bits and decimals without an exponent.
func plainNumber(text string, i int) int {
	if text[i] == '-' {
		i++
	}
	digits := func() (n int) {
		for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
			n++
		}
		return n
	}
	start := i
	if n := digits(); n == 0 || n > 18 || n > 1 && text[start] == '0' {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		i++
		if n := digits(); n == 0 || n > 18 {
			return -1
		}
	}
	return i
}
