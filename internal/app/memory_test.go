package app

import "testing"

// Garbage costs memory, collecting it costs time that grows with what is in use.
func TestGarbageIsAQuarterOfWhatIsInUseOrTheHeadroom(t *testing.T) {
	const mega = 1 << 20
	for _, tt := range []struct{ inUse, most uint64 }{
		{0, headroom},
		{2 * mega, headroom},  // held to 400 %, which is less
		{12 * mega, headroom}, // 10,000 entries
		{400 * mega, 100 * mega},
	} {
		percent := percentOf(tt.inUse)
		garbage := tt.inUse * uint64(percent) / 100
		if percent < 25 || percent > 400 || garbage > tt.most || percent < 400 && garbage < tt.most*9/10 {
			t.Errorf("with %d in use garbage is %d (%d %%), want about %d", tt.inUse, garbage, percent, tt.most)
		}
	}
}
