package celery

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A value is what Python's json.loads would make of a text: nil, bool, number,
// string, []value or *object.
type value = any

// A number is a number as it was written. It never goes through float64, since
// a Python integer has no bounds. NaN, Infinity and -Infinity are numbers too.
type number string

// An object is a JSON object as a Python dict holds it: keys in the order of
// their first appearance, each with its last value.
type object struct {
	keys  []string
	items []value        // of the keys
	where map[string]int // of keys, once there are more than few

	// unordered is set when the keys come from a Go map: their order was lost.
	unordered bool
}

// few keys are found sooner one by one than by a map, and most objects have few.
const few = 8

func (o *object) find(key string) (i int, ok bool) {
	if o == nil {
		return 0, false
	}
	if o.where != nil {
		i, ok = o.where[key]
		return i, ok
	}
	i = slices.Index(o.keys, key)
	return i, i >= 0
}

func (o *object) get(key string) (value, bool) {
	i, ok := o.find(key)
	if !ok {
		return nil, false
	}
	return o.items[i], true
}

// at is the key's value, nil if it has none.
func (o *object) at(key string) value {
	v, _ := o.get(key)
	return v
}

func (o *object) set(key string, v value) {
	if i, ok := o.find(key); ok {
		o.items[i] = v
		return
	}
	o.keys, o.items = append(o.keys, key), append(o.items, v)
	switch {
	case o.where != nil:
		o.where[key] = len(o.keys) - 1
	case len(o.keys) > few:
		o.where = make(map[string]int)
		for i, key := range o.keys {
			o.where[key] = i
		}
	}
}

func (o *object) len() int {
	if o == nil {
		return 0
	}
	return len(o.keys)
}

// isInt reports whether Python reads n as an int.
func (n number) isInt() bool { return !strings.ContainsAny(string(n), ".eEN") && !n.isInf() }

func (n number) isInf() bool { return strings.HasSuffix(string(n), "Infinity") }

// float is n as Python's float() would have it: beyond the range it is infinite.
func (n number) float() float64 {
	switch {
	case n == "NaN":
		return math.NaN()
	case n == "Infinity":
		return math.Inf(1)
	case n == "-Infinity":
		return math.Inf(-1)
	}
	f, _ := strconv.ParseFloat(string(n), 64)
	return f
}

// int is n when it is an integer of 64 bits.
func (n number) int() (int64, bool) {
	i, err := strconv.ParseInt(string(n), 10, 64)
	return i, err == nil
}

const (
	// maxDepth keeps a text well inside the recursion limit of Python's json
	// (1,000 frames), beyond which a worker cannot decode its message.
	maxDepth = 500

	// maxDigits is the longest integer that Python 3.11 and later convert from
	// text (sys.int_info.default_max_str_digits).
	maxDigits = 4300
)

// parseJSON reads text as Python's json.loads does. It differs from
// encoding/json where Python does: NaN and Infinity are numbers, and lone
// surrogates are let through (as U+FFFD here; the text itself is what is sent).
// Errors give a position and never quote the text.
func parseJSON(text string) (value, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("is not UTF-8")
	}
	p := parser{text: text}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos != len(text) {
		return nil, p.wrong("more after the end")
	}
	return v, nil
}

type parser struct {
	text string
	pos  int
}

func (p *parser) wrong(what string) error {
	return fmt.Errorf("is not JSON: %s at byte %d", what, p.pos)
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) take(token string) bool {
	if !strings.HasPrefix(p.text[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func (p *parser) value(depth int) (value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested deeper than %d levels", maxDepth)
	}
	switch {
	case p.take("{"):
		return p.object(depth)
	case p.take("["):
		return p.array(depth)
	case p.take(`"`):
		return p.string()
	case p.take("null"):
		return nil, nil
	case p.take("true"):
		return true, nil
	case p.take("false"):
		return false, nil
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if p.take(word) {
			return number(word), nil
		}
	}
	return p.number()
}

func (p *parser) object(depth int) (value, error) {
	o := new(object)
	if p.space(); p.take("}") {
		return o, nil
	}
	for {
		if p.space(); !p.take(`"`) {
			return nil, p.wrong("no key")
		}
		key, err := p.string()
		if err != nil {
			return nil, err
		}
		if p.space(); !p.take(":") {
			return nil, p.wrong("no colon")
		}
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.set(key, v)
		p.space()
		switch {
		case p.take(","):
		case p.take("}"):
			return o, nil
		default:
			return nil, p.wrong("no comma or end of object")
		}
	}
}

func (p *parser) array(depth int) (value, error) {
	list := []value{}
	if p.space(); p.take("]") {
		return list, nil
	}
	for {
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		p.space()
		switch {
		case p.take(","):
		case p.take("]"):
			return list, nil
		default:
			return nil, p.wrong("no comma or end of array")
		}
	}
}

// string reads the rest of a string whose opening quote was taken.
func (p *parser) string() (string, error) {
	start := p.pos
	for p.pos < len(p.text) { // the plain case: no escape
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			return p.text[start : p.pos-1], nil
		case c == '\\':
			return p.unescape([]byte(p.text[start:p.pos]))
		case c < ' ':
			return "", p.wrong("a control character in a string")
		}
		p.pos++
	}
	return "", p.wrong("no end of string")
}

func (p *parser) unescape(s []byte) (string, error) {
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string(s), nil
		case c < ' ':
			return "", p.wrong("a control character in a string")
		case c != '\\':
			s = append(s, c)
			continue
		}
		if p.pos == len(p.text) {
			break
		}
		c = p.text[p.pos]
		p.pos++
		if c == 'u' {
			r, err := p.rune()
			if err != nil {
				return "", err
			}
			s = utf8.AppendRune(s, r)
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, c)
		if at < 0 {
			return "", p.wrong("an unknown escape")
		}
		s = append(s, "\"\\/\b\f\n\r\t"[at])
	}
	return "", p.wrong("no end of string")
}

// rune reads four hexadecimal digits, and the second half of a surrogate pair
// where there is one.
func (p *parser) rune() (rune, error) {
	r, ok := p.hex(p.pos)
	if !ok {
		return 0, p.wrong("a bad \\u escape")
	}
	p.pos += 4
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.text[p.pos:], `\u`) {
		if low, ok := p.hex(p.pos + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.pos += 6
				return pair, nil
			}
		}
	}
	return r, nil // AppendRune makes U+FFFD of a lone surrogate
}

func (p *parser) hex(at int) (rune, bool) {
	if at+4 > len(p.text) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[at : at+4]) {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

func (p *parser) number() (value, error) {
	start := p.pos
	p.take("-")
	whole := p.digits()
	if whole == 0 || whole > 1 && p.text[p.pos-whole] == '0' {
		return nil, p.wrong("no value")
	}
	if whole > maxDigits {
		return nil, fmt.Errorf("has an integer of more than %d digits, which Python refuses", maxDigits)
	}
	if p.take(".") && p.digits() == 0 {
		return nil, p.wrong("a point without digits")
	}
	if p.take("e") || p.take("E") {
		if !p.take("+") {
			p.take("-")
		}
		if p.digits() == 0 {
			return nil, p.wrong("an exponent without digits")
		}
	}
	return number(p.text[start:p.pos]), nil
}

func (p *parser) digits() int {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos]-'0' <= 9 {
		p.pos++
	}
	return p.pos - start
}

// appendJSON writes v as compact JSON.
func appendJSON(dst []byte, v value) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case number:
		return append(dst, v...)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case string:
		return appendQuoted(dst, v)
	case []value:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, item)
		}
		return append(dst, ']')
	case *object:
		dst = append(dst, '{')
		for i, key := range v.keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, key), ':')
			dst = appendJSON(dst, v.at(key))
		}
		return append(dst, '}')
	}
	panic(fmt.Sprintf("celery: no JSON for %T", v))
}

// appendQuoted writes s as a JSON string, in UTF-8.
func appendQuoted[text string | []byte](dst []byte, s text) []byte {
	dst = append(dst, '"')
	from := 0
	for i := plain(s); i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// plain is how many bytes from the start of s need no escape, looked at eight at
// a time: near all of them, mostly.
func plain[text string | []byte](s text) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := w^('"'*ones), w^('\\'*ones)
		// A byte below n makes (w - n*ones) &^ w have its high bit.
		if ((w-' '*ones)&^w|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			break
		}
	}
	return i
}

const hexDigits = "0123456789abcdef"
