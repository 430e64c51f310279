package celery

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reprBudget is how many characters of a repr Celery shows before it cuts
// (celery 5.7 app/amqp.py, argsrepr_maxsize).
const reprBudget = 1024

// repr is v as Celery shows arguments in logs, events and Flower: a walk over
// tokens, each of which uses up some of the budget (celery 5.7 utils/saferepr.py).
// Containers at depth levels and beyond are shown as [...] or {...}; levels 0
// shows all.
func repr(v value, budget, levels int) string {
	r := reprWriter{budget: budget, levels: levels}
	r.text.Grow(usual)
	r.value(v, 0)
	return r.text.String()
}

// usual is more than most reprs have, in bytes.
const usual = 96

type reprWriter struct {
	text   strings.Builder
	budget int // characters left; closing brackets are shown even when there are none
	levels int
	cut    bool // the budget is gone and said so: only what is open is still closed
}

// token writes s unless the budget is gone, and says whether it did.
func (r *reprWriter) token(s string) bool {
	if r.cut {
		return false
	}
	if r.budget <= 0 {
		r.text.WriteString(", ...")
		r.cut = true
		return false
	}
	r.text.WriteString(s)
	r.budget -= utf8.RuneCountInString(s)
	return true
}

// end closes a bracket. Closers count against a budget that is not yet used up.
func (r *reprWriter) end(s string) {
	r.text.WriteString(s)
	r.budget -= len(s)
}

func (r *reprWriter) value(v value, depth int) {
	if r.cut {
		return
	}
	switch v := v.(type) {
	case nil:
		r.token(r.truncate("None"))
	case bool:
		if v {
			r.token(r.truncate("True"))
		} else {
			r.token(r.truncate("False"))
		}
	case number:
		r.token(r.truncate(pythonNumber(v)))
	case string:
		r.quoted(v)
	case []value:
		if r.levels > 0 && depth >= r.levels {
			r.token("[...]")
			return
		}
		if !r.token("[") {
			return
		}
		for i, item := range v {
			if i > 0 {
				r.token(", ")
			}
			r.value(item, depth+1)
		}
		r.end("]")
	case *object:
		if r.levels > 0 && depth >= r.levels {
			r.token("{...}")
			return
		}
		if !r.token("{") {
			return
		}
		for i, key := range v.keys {
			if i > 0 {
				r.token(", ")
			}
			r.quoted(key)
			r.token(": ")
			r.value(v.at(key), depth+1)
		}
		r.end("}")
	}
}

// quoted writes s in single quotes; nothing but a single quote is escaped.
func (r *reprWriter) quoted(s string) {
	r.token("'" + strings.ReplaceAll(r.truncate(s), "'", `\'`) + "'")
}

// truncate cuts s to the budget, then back to its last space, when it is as long
// as the budget or longer (celery 5.7 utils/text.py, truncate).
func (r *reprWriter) truncate(s string) string {
	if len(s) < r.budget || r.budget <= 0 || utf8.RuneCountInString(s) < r.budget {
		return s
	}
	end := len(s)
	count := 0
	for i := range s {
		if count == r.budget {
			end = i
			break
		}
		count++
	}
	s = s[:end]
	if space := strings.LastIndexByte(s, ' '); space >= 0 {
		s = s[:space]
	}
	return s + "..."
}

// requoted reports whether a repr is the JSON text with single quotes for double
// ones, and stands in JSON as it is. Most are: texts of numbers and plain strings,
// spaced as Python's json.dumps and PostgreSQL's jsonb space them.
func requoted(text, repr string) bool {
	inJSON := func(c rune) bool { return c < ' ' || c == '"' || c == '\\' } // needs an escape there
	return len(text) == len(repr) && !strings.ContainsFunc(repr, inJSON) && string(appendRequoted(nil, text)) == repr
}

// appendRequoted appends the text with single quotes for double ones.
func appendRequoted(dst []byte, text string) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for rest := dst[start:]; ; {
		quote := bytes.IndexByte(rest, '"')
		if quote < 0 {
			return dst
		}
		rest[quote] = '\''
		rest = rest[quote+1:]
	}
}

// pythonNumber is n as Python's str shows it.
func pythonNumber(n number) string {
	if !n.isInt() {
		return pythonFloat(n.float())
	}
	if n == "-0" {
		return "0"
	}
	return string(n)
}

// pythonFloat is Python's repr of a float: the shortest digits that read back as
// f, with an exponent when it is below -4 or 16 and above.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, finite := strings.Cut(s, "e")
	if !finite {
		return map[string]string{"NaN": "nan", "+Inf": "inf", "-Inf": "-inf"}[s]
	}
	if exp, _ := strconv.Atoi(exponent); exp < -4 || exp >= 16 {
		return mantissa + "e" + exponent
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
