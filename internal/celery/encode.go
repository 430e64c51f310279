package celery

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// A codec is one of kombu's serializers (kombu 5.7 serialization.py).
type codec struct {
	contentType, contentEncoding string

	// encode makes a body. raw is the body's JSON text; v is what it says.
	encode func(raw []byte, v []value) ([]byte, error)
}

var codecs = map[string]codec{
	"json":    {"application/json", "utf-8", func(raw []byte, _ []value) ([]byte, error) { return raw, nil }},
	"yaml":    {"application/x-yaml", "utf-8", func(_ []byte, v []value) ([]byte, error) { return appendYAML(nil, v), nil }},
	"msgpack": {"application/x-msgpack", "binary", encodeMsgpack},
}

func codecOf(name string) (codec, error) {
	if c, known := codecs[name]; known {
		return c, nil
	}
	why := "is not known"
	switch name {
	case "pickle":
		why = "is never sent: whoever may write such messages runs any code on the workers"
	case "auth":
		why = "is not supported"
	}
	return codec{}, fmt.Errorf("serializer %q %s; use json, yaml or msgpack", name, why)
}

// compressions are kombu's names of the compressions that can be written here,
// and their canonical names (kombu 5.7 compression.py).
var compressions = map[string]string{"gzip": zlibName, "zlib": zlibName, zlibName: zlibName}

// zlibName is kombu's name for a zlib stream (RFC 1950), which is not gzip.
const zlibName = "application/x-gzip"

func compressionOf(name string) (string, error) {
	if canonical, known := compressions[name]; known || name == "" {
		return canonical, nil
	}
	return "", fmt.Errorf("compression %q cannot be written here; use zlib (also called gzip), or none", name)
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(body) // a Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// appendYAML writes v as JSON that YAML 1.1, as PyYAML reads it, gives the same
// meaning: floats with a point and a signed exponent, characters past ASCII as
// themselves rather than in halves, long keys announced by a question mark.
func appendYAML(dst []byte, v value) []byte {
	switch v := v.(type) {
	case number:
		return append(dst, yamlNumber(v)...)
	case string:
		return appendYAMLText(dst, v)
	case []value:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendYAML(dst, item)
		}
		return append(dst, ']')
	case *object:
		dst = append(dst, '{')
		for i, key := range v.keys {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			if len(key) > maxSimpleKey {
				dst = append(dst, "? "...)
			}
			dst = append(appendYAMLText(dst, key), ": "...)
			dst = appendYAML(dst, v.at(key))
		}
		return append(dst, '}')
	}
	return appendJSON(dst, v)
}

// maxSimpleKey keeps keys, escapes and all, below the 1,024 characters that YAML
// allows for a key that no question mark announces.
const maxSimpleKey = 100

func yamlNumber(n number) string {
	if n.isInt() {
		return pythonNumber(n)
	}
	switch s := pythonFloat(n.float()); s {
	case "nan":
		return ".nan"
	case "inf":
		return ".inf"
	case "-inf":
		return "-.inf"
	default:
		if mantissa, exponent, has := strings.Cut(s, "e"); has && !strings.Contains(mantissa, ".") {
			return mantissa + ".0e" + exponent
		}
		return s
	}
}

// appendYAMLText writes s in double quotes. What PyYAML's reader refuses or
// folds (controls, U+0085, U+2028, U+2029, U+FEFF, private and special) is escaped.
func appendYAMLText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= ' ' && r < 0x7f, r >= 0xa0 && r < 0x2000, r >= 0x2100 && r < 0xd800, r >= 0x10000:
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, '\\', 'u')
			for shift := 12; shift >= 0; shift -= 4 {
				dst = append(dst, hexDigits[r>>shift&15])
			}
		}
	}
	return append(dst, '"')
}

func encodeMsgpack(_ []byte, v []value) ([]byte, error) {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseCompactInts(true)
	if err := packValue(e, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func packValue(e *msgpack.Encoder, v value) error {
	switch v := v.(type) {
	case nil:
		return e.EncodeNil()
	case bool:
		return e.EncodeBool(v)
	case number:
		return packNumber(e, v)
	case string:
		return e.EncodeString(v)
	case []value:
		if err := e.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, item := range v {
			if err := packValue(e, item); err != nil {
				return err
			}
		}
		return nil
	case *object:
		if err := e.EncodeMapLen(len(v.keys)); err != nil {
			return err
		}
		for _, key := range v.keys {
			if err := e.EncodeString(key); err != nil {
				return err
			}
			if err := packValue(e, v.at(key)); err != nil {
				return err
			}
		}
		return nil
	}
	panic(fmt.Sprintf("celery: no msgpack for %T", v))
}

func packNumber(e *msgpack.Encoder, n number) error {
	if !n.isInt() {
		return e.EncodeFloat64(n.float())
	}
	if i, ok := n.int(); ok {
		return e.EncodeInt(i)
	}
	if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
		return e.EncodeUint(u)
	}
	return errors.New("an integer is beyond 64 bits, which msgpack cannot hold; use the json serializer")
}
