package schedule

import "math"

// A sun is the sun as it is seen from the earth's centre. Angles are in radians.
type sun struct {
	hourAngle   float64 // at a longitude, from the meridian to the west
	declination float64
	distance    float64 // astronomical units
}

const (
	arcsecond = math.Pi / (180 * 60 * 60)

	sunRadius   = 959.63 * arcsecond // as seen from one astronomical unit away
	sunParallax = 8.794 * arcsecond  // the earth's radius at the equator, as seen from there

	// The sun is seen where it was when its light left, by so much. An earth on an ellipse
	// would make that 0.34 arcseconds more in January and less in July; PyEphem, which slots
	// are held against, takes a circle.
	aberration = 20.49552 * arcsecond

	// From the theory's own equinox and ecliptic to those of star catalogues (FK5).
	alongToFK5  = -0.09033 * arcsecond
	besideToFK5 = 0.03916 * arcsecond
)

// altitude returns how high the sun's centre stands over the horizon of a place on
// that meridian, seen from the ground, without refraction.
func (s sun) altitude(latitude float64) float64 {
	a := math.Asin(math.Sin(latitude)*math.Sin(s.declination) + math.Cos(latitude)*math.Cos(s.declination)*math.Cos(s.hourAngle))
	radius := 0.9983271 + 0.0016764*math.Cos(2*latitude) // of the earth there; Meeus, chapter 11
	return a - sunParallax*radius/s.distance*math.Cos(a)
}

// newSun computes the sun at a Unix second and a longitude: the earth's place by
// the theory VSOP87, the rest as in Meeus, Astronomical Algorithms, chapters 12, 22 and 25.
func newSun(second, longitude float64) sun {
	const century = 36525.0
	days := second/daySeconds - 10957.5 // from the epoch J2000.0, 2000-01-01T12:00:00Z
	t := (days + deltaT(days)/daySeconds) / century

	distance := series(earthDistance, t/10)
	nutation, tilt := nutation(t)
	tilt += (84381.448 + t*(-46.8150+t*(-0.00059+t*0.001813))) * arcsecond
	geometric := series(earthLongitude, t/10) + math.Pi
	along := geometric + alongToFK5 + nutation - aberration
	beside := -series(earthLatitude, t/10) + besideToFK5*(math.Cos(geometric)-math.Sin(geometric))

	ascension := math.Atan2(math.Sin(along)*math.Cos(tilt)-math.Tan(beside)*math.Sin(tilt), math.Cos(along))
	declination := math.Asin(math.Sin(beside)*math.Cos(tilt) + math.Cos(beside)*math.Sin(tilt)*math.Sin(along))

	u := days / century
	greenwich := 280.46061837 + 360.98564736629*days + u*u*(0.000387933-u/38710000)
	sidereal := math.Mod(greenwich, 360)*math.Pi/180 + nutation*math.Cos(tilt)
	return sun{sidereal + longitude - ascension, declination, distance}
}

// deltaT returns by how many seconds the earth's rotation is behind even time: as it was
// measured up to 2020, and from there as PyEphem expects it (libastro, deltat.c). Far off it is
// the long-term parabola of Morrison and Stephenson (2004).
func deltaT(days float64) float64 {
	const first, step = 1980, 10 // years
	decades := [...]float64{50.5, 56.9, 63.8, 66.1, 69.8, 77.6, 90.7, 108.1}
	year := 2000 + days/365.25
	at := (year - first) / step
	if i := int(math.Floor(at)); i >= 0 && i+1 < len(decades) {
		return decades[i] + (at-float64(i))*(decades[i+1]-decades[i])
	}
	centuries := (year - 1820) / 100
	return 32*centuries*centuries - 20
}

// nutation returns by how much the earth's axis nods, along the ecliptic and in tilt:
// the terms of IAU 1980 over 0.02 arcseconds. T is in centuries from J2000.0.
func nutation(t float64) (along, tilt float64) {
	const degree = math.Pi / 180
	elongation := (297.85036 + 445267.111480*t) * degree
	sunAnomaly := (357.52772 + 35999.050340*t) * degree
	moonAnomaly := (134.96298 + 477198.867398*t) * degree
	latitude := (93.27191 + 483202.017538*t) * degree
	node := (125.04452 - 1934.136261*t) * degree
	for _, term := range nutationTerms {
		angle := term.elongation*elongation + term.sun*sunAnomaly + term.moon*moonAnomaly + term.latitude*latitude + term.node*node
		along += (term.along + term.alongRise*t) * math.Sin(angle)
		tilt += (term.tilt + term.tiltRise*t) * math.Cos(angle)
	}
	return along * 1e-4 * arcsecond, tilt * 1e-4 * arcsecond
}

// nutationTerms are Meeus's table 22.A: multiples of the moon's elongation, the sun's and the
// moon's anomaly, the moon's argument of latitude and its node; and amplitudes in
// 0.0001", with what is added to them in a century.
var nutationTerms = [...]struct {
	elongation, sun, moon, latitude, node float64
	along, alongRise, tilt, tiltRise      float64
}{
	{0, 0, 0, 0, 1, -171996, -174.2, 92025, 8.9},
	{-2, 0, 0, 2, 2, -13187, -1.6, 5736, -3.1},
	{0, 0, 0, 2, 2, -2274, -0.2, 977, -0.5},
	{0, 0, 0, 0, 2, 2062, 0.2, -895, 0.5},
	{0, 1, 0, 0, 0, 1426, -3.4, 54, -0.1},
	{0, 0, 1, 0, 0, 712, 0.1, -7, 0},
	{-2, 1, 0, 2, 2, -517, 1.2, 224, -0.6},
	{0, 0, 0, 2, 1, -386, -0.4, 200, 0},
	{0, 0, 1, 2, 2, -301, 0, 129, -0.1},
	{-2, -1, 0, 2, 2, 217, -0.5, -95, 0.3},
}

// series sums a series of VSOP87: the powers of time, in thousands of years from
// J2000.0, each with terms of amplitude × cos(phase + frequency × time).
func series(powers [][]term, t float64) (value float64) {
	for i := len(powers) - 1; i >= 0; i-- {
		var sum float64
		for _, term := range powers[i] {
			sum += term.amplitude * math.Cos(term.phase+term.frequency*t)
		}
		value = value*t + sum
	}
	return value * 1e-8
}
