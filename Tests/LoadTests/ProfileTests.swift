// Goal: profiles are read strictly and give the rates they promise; options are checked; draws have their distribution.
// Method: literal files, and sums over many draws of a fixed seed.

import Testing

@testable import SuanpanLoad

private func problem(_ json: String) -> String {
    do {
        _ = try Profile(json: Array(json.utf8), source: "sale.json")
        return "none"
    } catch { return error.description }
}

struct ProfileTests {
    @Test func standardProfilesAreReadAndHaveTheirShape() throws {
        #expect(Profile.standardNames == ["daily", "flash-sale", "settlement"])
        for name in Profile.standardNames { #expect(try Profile.load(name).name == name) }
        let sale = try Profile.load("flash-sale")
        let schedule = try Schedule(phases: sale.phases, baseRate: sale.baseRate)
        let step = schedule.pieces[1]
        #expect(step.seconds == 1 && abs(step.to / step.from - 100) < 1e-9, "100 times within one second")
        #expect(sale.hotShare == 50 && sale.kind == .purchase && sale.zipf! > 0)
        #expect(
            sale.merchants! > sale.hotAccounts! && sale.feeAccounts! > 0 && sale.voids! > 0 && sale.hotPayerShare! > 0)
        let settlement = try Profile.load("settlement")
        #expect(settlement.kind == .settlement && settlement.batch == 8190)
    }

    @Test func errorsNameFileAndField() {
        let cases = [
            ("{", "profile sale.json: is not valid JSON"),
            ("[]", "profile sale.json: the file must be an object"),
            (#"{"name":"x","phases":[]}"#, "profile sale.json: field 'base_rate' is missing"),
            (#"{"name":"x","base_rate":1}"#, "profile sale.json: field 'phases' is missing"),
            (#"{"name":"x","base_rate":1,"phases":[]}"#, "profile sale.json: field 'phases' is empty"),
            (
                #"{"name":"x","base_rate":1,"phases":[{"name":"a","seconds":1,"times":1}],"name":"y"}"#,
                "profile sale.json: field 'name' is given twice; keep one of them"
            ),
            (
                #"{"name":"x","base_rate":1,"phases":[{"name":"a","seconds":1,"s\u0065conds":2,"times":1}]}"#,
                "profile sale.json: field 'phases[0].seconds' is given twice; keep one of them"
            ),
            (#"{"name":"x","base_rate":"fast","phases":[]}"#, "profile sale.json: field 'base_rate' must be a number"),
            (
                #"{"name":"x","base_rate":1,"batch":9000,"phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'batch' is 9000, must be 1 to 8190"
            ),
            (
                #"{"name":"x","base_rate":1,"kind":"gift","phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'kind' is 'gift', must be one of transfer, purchase, settlement"
            ),
            (
                #"{"name":"x","base_rate":1,"phases":[{"name":"a","seconds":-1,"times":1}]}"#,
                "profile sale.json: field 'phases[0].seconds' is -1.0, must be 0.001 to 86400.0"
            ),
            (
                #"{"name":"x","base_rate":1,"phases":[{"name":"a","seconds":1}]}"#,
                "profile sale.json: field 'phases[0].rate' or 'times' (a multiple of base_rate) must be given, and not both"
            ),
            (
                #"{"name":"x","base_rate":1,"phases":[{"name":"a","seconds":1,"times":1,"ramp":"jump"}]}"#,
                "profile sale.json: field 'phases[0].ramp' is 'jump', must be one of step, linear, exponential"
            ),
            (
                #"{"name":"x","base_rate":1,"kind":"purchase","voids":101,"phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'voids' is 101.0, must be 0.0 to 100.0"
            ),
            (
                #"{"name":"x","base_rate":1,"kind":"purchase","merchants":0,"phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'merchants' is 0, must be 1 to 1000000"
            ),
            (
                #"{"name":"x","base_rate":1,"hot_payer_share":-1,"phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'hot_payer_share' is -1.0, must be 0.0 to 100.0"
            ),
            (
                #"{"name":"x","base_rate":1,"fee_accounts":3,"phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'fee_accounts' is of purchases; 'kind' must be purchase"
            ),
            (
                #"{"name":"x","base_rate":0,"phases":[{"name":"a","seconds":1,"times":1}]}"#,
                "profile sale.json: field 'phases' no phase has a rate above 0 (base_rate times 'times', or 'rate')"
            ),
        ]
        for (json, expected) in cases { #expect(problem(json) == expected) }
        #expect(
            problem(#"{"name":"x","base_rate":1,"fases":[]}"#).hasPrefix("profile sale.json: field 'fases' is unknown"))
        #expect(throws: LoadError.self) { try Profile.load("no-such") }
        #expect(throws: LoadError.self) { try Profile.load("./no-such.json") }
    }

    @Test func optionsAreChecked() {
        func message(_ change: (inout LoadOptions) -> Void) -> String {
            var options = LoadOptions(target: "127.0.0.1:1")
            change(&options)
            do {
                _ = try LoadPlan(options)
                return "none"
            } catch {
                #expect(error.exitCode == 2)
                return error.description
            }
        }
        #expect(message { _ in } == "none")
        #expect(message { $0.target = "here" } == "--target here: must be HOST:PORT, as in 127.0.0.1:7420")
        #expect(message { $0.target = "here:99999" }.hasPrefix("--target here:99999"))
        #expect(message { $0.batch = 8191 } == "--batch 8191: must be 1 to 8190")
        #expect(message { $0.connections = 0 }.hasPrefix("--connections 0"))
        #expect(message { $0.hotShare = 101 }.hasPrefix("--hot-share 101"))
        #expect(
            message {
                $0.accounts = 3; $0.hotAccounts = 2
            }.hasPrefix("--accounts 3: must be at least 4"))
        #expect(
            message {
                $0.wire = .resp; $0.batch = 10
            }.hasPrefix("--batch 10: RESP"))
        #expect(
            message {
                $0.durationSeconds = 1; $0.transfers = 1
            }.hasPrefix("--duration and --transfers"))
        #expect(message { $0.rate = 0 }.hasPrefix("--rate 0"))
        #expect(message { $0.threads = 2 }.hasPrefix("--threads 2"))
        #expect(message { $0.password = String(repeating: "x", count: 200) }.hasPrefix("--password"))
    }

    @Test func optionsOfPurchasesAreChecked() {
        func message(_ kind: WorkloadKind, _ change: (inout LoadOptions) -> Void) -> String {
            var options = LoadOptions(target: "127.0.0.1:1")
            options.kind = kind
            change(&options)
            do {
                _ = try LoadPlan(options)
                return "none"
            } catch {
                #expect(error.exitCode == 2)
                return error.description
            }
        }
        #expect(message(.purchase) { _ in } == "none")
        #expect(message(.purchase) { $0.merchants = 0 } == "--merchants 0: must be 1 to 1000000")
        #expect(message(.purchase) { $0.feeAccounts = 0 } == "--fee-accounts 0: must be 1 to 1000000")
        #expect(message(.purchase) { $0.voids = 101 }.hasPrefix("--voids 101"))
        #expect(message(.purchase) { $0.hotFeeShare = -1 }.hasPrefix("--hot-fee-share -1"))
        #expect(message(.purchase) { $0.hotPayerShare = 101 }.hasPrefix("--hot-payer-share 101"))
        #expect(message(.purchase) { $0.zipf = 6 } == "--zipf 6.0: must be 0.0 to 5.0")
        #expect(message(.purchase) { $0.zipf = .nan }.hasPrefix("--zipf nan"))
        #expect(message(.purchase) { $0.merchants = 1 } == "none", "one merchant is the hot one")
        #expect(
            message(.purchase) {
                $0.merchants = 3; $0.hotAccounts = 4
            } == "--hot-accounts 4: hot ones are of the 3 merchants; see --merchants")
        #expect(
            message(.purchase) { $0.accounts = 61 }
                == "--accounts 61: must be at least 62, for 50 merchants, 10 fee accounts and 2 customers")
        #expect(message(.purchase) { $0.batch = 2 }.hasPrefix("--batch 2: a purchase goes by itself"))
        #expect(message(.purchase) { $0.chain = 2 }.hasPrefix("--chain: a purchase has its hold and its chain"))
        #expect(message(.purchase) { $0.pending = 1 }.hasPrefix("--pending: a purchase has its hold and its chain"))
        #expect(
            message(.purchase) { $0.transfers = 5 } == "--transfers 5: this load makes purchases; give --purchases")
        #expect(
            message(.purchase) {
                $0.purchases = 5; $0.durationSeconds = 1
            } == "--duration and --purchases exclude each other; give one")
        #expect(
            message(.transfer) { $0.purchases = 5 }
                == "--purchases 5: this load makes transfers; give --transfers, or --kind purchase")
        #expect(
            message(.transfer) { $0.voids = 5 }
                == "--voids: is of purchases, and this load makes none; give --kind purchase too")
        #expect(message(.settlement) { $0.hotPayerShare = 5 }.hasPrefix("--hot-payer-share 5.0: a settlement"))
        // The profile's kind counts, and an option wins over it.
        let sale = message(.transfer) {
            $0.kind = nil; $0.profile = "flash-sale"; $0.accounts = 100; $0.merchants = 2
        }
        #expect(sale == "none")
        #expect(
            message(.transfer) {
                $0.profile = "flash-sale"; $0.merchants = 2
            }.hasPrefix("--merchants: is of purchases"))
    }

    /// Due times: as many per second as the integral of the rate says, in order, none missing at a phase's border.
    @Test func arrivalsFollowTheRate() throws {
        let schedule = try Schedule(
            phases: [
                Phase(name: "idle", seconds: 2, rate: 0), Phase(name: "flat", seconds: 2, times: 1),
                Phase(name: "up", seconds: 1, times: 100, ramp: .exponential),
                Phase(name: "hold", seconds: 1, times: 100),
                Phase(name: "down", seconds: 2, times: 0, ramp: .linear),
            ], baseRate: 1_000)
        for batch in [1, 10] {
            var arrivals = Arrivals(schedule, batch: batch)
            var random = Random(seed: 3)
            var perSecond = [Double](repeating: 0, count: 8)
            var before: UInt64 = 0
            while let due = arrivals.next(&random) {
                #expect(due >= before)
                before = due
                perSecond[Int(due / 1_000_000_000)] += Double(batch)
            }
            let expected: [Double] = [0, 0, 1_000, 1_000, 21_497, 100_000, 75_000, 25_000]
            for (second, (got, want)) in zip(perSecond, expected).enumerated() {
                #expect(
                    abs(got - want) <= 6 * (want * Double(batch)).squareRoot(), "second \(second): \(got) for \(want)")
            }
        }
    }

    @Test func aDurationCutsOrHolds() {
        let schedule = Schedule(rate: 10, seconds: 5)
        #expect(schedule.lasting(2).seconds == 2 && schedule.lasting(9).seconds == 9)
        #expect(schedule.lasting(9).pieces.last?.to == 10)
        let ramp = try? Schedule(phases: [Phase(name: "a", seconds: 10, rate: 100, ramp: .linear)], baseRate: 0)
        #expect(ramp?.lasting(5).pieces.last?.to == 50)
    }

    @Test func zipfDrawsInProportion() {
        let zipf = Zipf(count: 1_000, exponent: 1)
        var random = Random(seed: 5)
        var counts = [Double](repeating: 0, count: 1_000)
        let draws = 1_000_000
        for _ in 0..<draws { counts[Int(zipf.draw(&random))] += 1 }
        let harmonic = (1...1_000).reduce(0.0) { $0 + 1 / Double($1) }
        for rank in [0, 1, 9, 99, 999] {
            let expected = Double(draws) / harmonic / Double(rank + 1)
            #expect(
                abs(counts[rank] - expected) < 6 * expected.squareRoot(),
                "rank \(rank): \(counts[rank]) for \(expected)")
        }
    }

    @Test func randomIsRepeatable() {
        var a = Random(seed: 9)
        var b = Random(seed: 9)
        var c = Random(seed: 10)
        let same = (0..<100).allSatisfy { _ in a.next() == b.next() }
        let other = c.next()
        #expect(same && other != a.next())
    }

    @Test func numbersForPeople() {
        #expect(Format.grouped(1_234_567) == "1,234,567" && Format.grouped(12) == "12")
        #expect(
            Format.number(0.0123) == "0.012" && Format.number(12.345) == "12.35" && Format.number(12345.6) == "12346")
        #expect(Format.number(-0.5) == "-0.500")
    }
}
