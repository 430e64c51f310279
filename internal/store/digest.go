package store

// A digest is a hash, FNV-1a, of texts and numbers in order, that keeps their
// borders apart. It is kept in databases: it must stay as it is.
type digest uint64

const empty digest = 14695981039346656037

func (d digest) text(text string) digest {
	return d.number(uint64(len(text))).bytes(text)
}

func (d digest) bytes(text string) digest {
	for i := range len(text) {
		d = (d ^ digest(text[i])) * prime
	}
	return d
}

// digestTexts takes the digests of what many rows send. To take in a byte is to wait for the one before it: of four
// rows at a time the processor waits for all of them together.
func digestTexts(rows []row) {
	for ; len(rows) >= 4; rows = rows[4:] {
		a, b, c, d := &rows[0], &rows[1], &rows[2], &rows[3]
		sums := fourDigests{empty, empty, empty, empty}
		sums.texts(a.task, b.task, c.task, d.task)
		sums.texts(a.args, b.args, c.args, d.args)
		sums.texts(a.kwargs, b.kwargs, c.kwargs, d.kwargs)
		sums.texts(a.options, b.options, c.options, d.options)
		a.texts, b.texts, c.texts, d.texts = sums[0], sums[1], sums[2], sums[3]
	}
}

// fourDigests are texts taken in by turns.
type fourDigests [4]digest

// texts is text for each of four.
func (s *fourDigests) texts(a, b, c, d string) {
	w, x, y, z := s[0].number(uint64(len(a))), s[1].number(uint64(len(b))), s[2].number(uint64(len(c))), s[3].number(uint64(len(d)))
	n := min(len(a), len(b), len(c), len(d))
	first, second, third, fourth := a[:n], b[:n], c[:n], d[:n]
	for i := range n {
		w = (w ^ digest(first[i])) * prime
		x = (x ^ digest(second[i])) * prime
		y = (y ^ digest(third[i])) * prime
		z = (z ^ digest(fourth[i])) * prime
	}
	s[0], s[1], s[2], s[3] = w.bytes(a[n:]), x.bytes(b[n:]), y.bytes(c[n:]), z.bytes(d[n:])
}

// number takes in eight bytes, the lowest first: of most numbers the rest are zeros, each of which is a
// multiplication.
func (d digest) number(n uint64) digest {
	zeros := 8
	for ; n != 0; n >>= 8 {
		d = (d ^ digest(n&0xff)) * prime
		zeros--
	}
	return d * primes[zeros]
}

const prime = 1099511628211

// primes are the powers of prime.
var primes = func() (powers [9]digest) {
	powers[0] = 1
	for i := range 8 {
		powers[i+1] = powers[i] * prime
	}
	return powers
}()
