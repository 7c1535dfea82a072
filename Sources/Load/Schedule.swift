// When requests are due: a Poisson process whose rate follows the phases. Its own clock, never the server's: a server
// that stalls does not slow the schedule, which is how stalls stay visible ("coordinated omission", Gil Tene).
// Exact: unit-rate exponential gaps are mapped through the inverse of the phases' integrated rate.

internal import Glibc

struct ScheduleProblem: Error {
    var problem: String
}

/// A piecewise rate over time. Plain values; copied to every load thread.
struct Schedule: Sendable, Equatable {
    struct Piece: Sendable, Equatable {
        /// Seconds since the start of the run.
        var start: Double
        var seconds: Double
        /// Transfers/s at start and end.
        var from: Double
        var to: Double
        var exponential: Bool

        /// Transfers due in the first `t` seconds of the piece.
        func integral(_ t: Double) -> Double {
            if from == to { return from == 0 ? 0 : from * t }
            if exponential {
                let k = log(to / from) / seconds
                return from / k * (exp(k * t) - 1)
            }
            return from * t + (to - from) * t * t / (2 * seconds)
        }

        /// The time at which `area` transfers have become due, counted from the piece's start; `area` ≤ its whole.
        func inverse(_ area: Double) -> Double {
            if from == to { return area / from }
            if exponential {
                let k = log(to / from) / seconds
                return log(1 + k * area / from) / k
            }
            let slope = (to - from) / seconds
            // The root of slope/2·t² + from·t = area that does not cancel, for rising and falling rates.
            return 2 * area / (from + max(0, from * from + 2 * slope * area).squareRoot())
        }

        func rate(_ t: Double) -> Double {
            if from == to { return from }
            if exponential { return from * exp(log(to / from) / seconds * t) }
            return from + (to - from) * t / seconds
        }
    }

    private(set) var pieces: [Piece] = []
    var seconds: Double { pieces.last.map { $0.start + $0.seconds } ?? 0 }

    /// Transfers that are due in all, on average.
    var transfers: Double { transfers(until: .infinity) }

    /// Transfers that are due in the first `t` seconds, on average.
    func transfers(until t: Double) -> Double {
        pieces.reduce(0) { $0 + $1.integral(min($1.seconds, max(0, t - $1.start))) }
    }

    /// One rate for `seconds`, which may be infinite.
    init(rate: Double, seconds: Double) {
        pieces = [Piece(start: 0, seconds: seconds, from: rate, to: rate, exponential: false)]
    }

    init(phases: [Phase], baseRate: Double) throws(ScheduleProblem) {
        var start = 0.0
        var before = 0.0
        for phase in phases {
            let rate = phase.rate ?? phase.times! * baseRate
            let from = phase.ramp == .step ? rate : before
            if phase.ramp == .exponential && (from <= 0 || rate <= 0) {
                throw ScheduleProblem(
                    problem: "phase '\(phase.name)': an exponential ramp needs rates above 0 on both ends")
            }
            pieces.append(
                Piece(
                    start: start, seconds: phase.seconds, from: from, to: rate, exponential: phase.ramp == .exponential)
            )
            start += phase.seconds
            before = rate
        }
        if !pieces.contains(where: { $0.from > 0 || $0.to > 0 }) {
            throw ScheduleProblem(problem: "no phase has a rate above 0 (base_rate times 'times', or 'rate')")
        }
    }

    /// The same course cut off at `seconds`, or its last rate held until then.
    func lasting(_ seconds: Double) -> Schedule {
        var cut = self
        cut.pieces.removeAll { $0.start >= seconds }
        if seconds > self.seconds, let last = pieces.last {
            cut.pieces.append(
                Piece(
                    start: self.seconds, seconds: seconds - self.seconds, from: last.to, to: last.to, exponential: false
                ))
        } else if var last = cut.pieces.popLast() {
            let t = min(last.seconds, seconds - last.start)
            if t < last.seconds { last.to = last.rate(t) }
            last.seconds = t
            cut.pieces.append(last)
        }
        return cut
    }

    /// The same course with every rate multiplied by `factor`: a thread's share.
    func scaled(_ factor: Double) -> Schedule {
        var scaled = self
        for i in scaled.pieces.indices {
            scaled.pieces[i].from *= factor
            scaled.pieces[i].to *= factor
        }
        return scaled
    }
}

/// Walks a schedule: one due time after another. Requests of `batch` transfers are due at rate/batch, Poisson-spaced.
struct Arrivals {
    private let pieces: [Schedule.Piece]
    private let perRequest: Double
    private var piece = 0
    /// Transfers of the current piece that are already due.
    private var area = 0.0
    private var whole: Double

    init(_ schedule: Schedule, batch: Int) {
        pieces = schedule.pieces
        perRequest = Double(batch)
        whole = pieces.isEmpty ? 0 : pieces[0].integral(pieces[0].seconds)
    }

    /// Nanoseconds from the start of the run at which the next request is due; nil when the schedule is over.
    mutating func next(_ random: inout Random) -> UInt64? {
        var step = random.exponential() * perRequest
        while piece < pieces.count {
            if area + step < whole {
                area += step
                let p = pieces[piece]
                return UInt64((p.start + min(p.seconds, p.inverse(area))) * 1e9)
            }
            step -= whole - area
            piece += 1
            area = 0
            if piece < pieces.count { whole = pieces[piece].integral(pieces[piece].seconds) }
        }
        return nil
    }
}
