// Reads the arguments of the ledger's commands from left to right: numbers in their places, then options by name.

internal import SuanpanCore

/// A position in an argument table. The name of the command is behind it from the start.
struct ArgumentReader {
    private let count: Int
    private var next = 1
    /// Options seen so far, so that none is given twice.
    private var seen: UInt16 = 0

    init(_ count: Int) { self.count = count }

    var isAtEnd: Bool { next >= count }

    /// Refuses a command whose arguments, its name included, are too few or too many.
    @inline(__always)
    func expect(_ arguments: borrowing RESPArguments, _ counts: ClosedRange<Int>) throws(RESPCommandError) {
        if !counts.contains(count) { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
    }

    /// The next argument as a number of the field's width.
    @inline(__always)
    mutating func number(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>, _ field: RESPField
    ) throws(RESPCommandError) -> UInt128 {
        if isAtEnd { throw RESPCommandError(.syntax, arguments[count - 1]) }
        let argument = arguments[next]
        guard let value = source.unsigned(argument), field.bits == 128 || value >> UInt128(field.bits) == 0 else {
            throw RESPCommandError(.notUnsigned(field), argument)
        }
        next += 1
        return value
    }

    /// Marks option `bit` as given; refuses it the second time.
    private mutating func once(_ bit: UInt16, _ option: RESPArgument) throws(RESPCommandError) {
        if seen & (1 << bit) != 0 { throw RESPCommandError(.syntax, option) }
        seen |= 1 << bit
    }

    // MARK: Transfers

    /// TRANSFER id debit credit amount ledger code [options]
    @inline(__always)
    mutating func transfer(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> Transfer {
        if count < 7 { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
        var transfer = Transfer(
            id: TransferID(try number(arguments, source, .id)),
            debit: AccountID(try number(arguments, source, .debit)),
            credit: AccountID(try number(arguments, source, .credit)),
            amount: Amount(try number(arguments, source, .amount)),
            ledger: UInt32(truncatingIfNeeded: try number(arguments, source, .ledger)),
            code: UInt16(truncatingIfNeeded: try number(arguments, source, .code)))
        if !isAtEnd { try options(arguments, source, of: &transfer) }
        return transfer
    }

    @inline(never)
    private mutating func options(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>, of transfer: inout Transfer
    ) throws(RESPCommandError) {
        while !isAtEnd {
            let option = arguments[next]
            next += 1
            if source.matches(option, "PENDING") {
                try once(0, option)
                transfer.flags.insert(.pending)
                // An option begins with a letter: whatever does not is meant as the timeout.
                if !isAtEnd, !source.beginsWithLetter(arguments[next]) {
                    transfer.timeout = UInt32(truncatingIfNeeded: try number(arguments, source, .timeout))
                }
            } else if source.matches(option, "BALANCING") {
                let debits = try side(arguments, source, after: option)
                try once(debits ? 1 : 2, option)
                transfer.flags.insert(debits ? .balancingDebit : .balancingCredit)
            } else if source.matches(option, "CLOSING") {
                let debits = try side(arguments, source, after: option)
                try once(debits ? 3 : 4, option)
                transfer.flags.insert(debits ? .closingDebit : .closingCredit)
            } else if try !data(arguments, source, option, of: &transfer) {
                throw RESPCommandError(.syntax, option)
            }
        }
    }

    /// DEBIT or CREDIT: true for DEBIT.
    private mutating func side(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>, after option: RESPArgument
    ) throws(RESPCommandError) -> Bool {
        if isAtEnd { throw RESPCommandError(.syntax, option) }
        let word = arguments[next]
        next += 1
        if source.matches(word, "DEBIT") { return true }
        if source.matches(word, "CREDIT") { return false }
        throw RESPCommandError(.syntax, word)
    }

    /// DATA128, DATA64, DATA32 with their numbers; false where the option is another.
    private mutating func data(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>, _ option: RESPArgument, of transfer: inout Transfer
    ) throws(RESPCommandError) -> Bool {
        if source.matches(option, "DATA128") {
            try once(5, option)
            transfer.userData128 = try number(arguments, source, .data128)
        } else if source.matches(option, "DATA64") {
            try once(6, option)
            transfer.userData64 = UInt64(truncatingIfNeeded: try number(arguments, source, .data64))
        } else if source.matches(option, "DATA32") {
            try once(7, option)
            transfer.userData32 = UInt32(truncatingIfNeeded: try number(arguments, source, .data32))
        } else {
            return false
        }
        return true
    }

    /// TRANSFER.POST|VOID id debit pending_id [AMOUNT n] [DATA… n]
    mutating func resolution(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>, _ flag: TransferFlags
    ) throws(RESPCommandError) -> Transfer {
        if count < 4 { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
        let posts = flag == .postPending
        var transfer = Transfer(
            id: TransferID(try number(arguments, source, .id)),
            debit: AccountID(try number(arguments, source, .debit)), credit: AccountID(0),
            // Posting without an amount posts all that is reserved; voiding moves nothing.
            amount: posts ? Amount(.max) : .zero, ledger: 0, code: 0, flags: flag)
        transfer.pendingID = TransferID(try number(arguments, source, .pendingID))
        while !isAtEnd {
            let option = arguments[next]
            next += 1
            if posts, source.matches(option, "AMOUNT") {
                try once(0, option)
                transfer.amount = Amount(try number(arguments, source, .amount))
            } else if try !data(arguments, source, option, of: &transfer) {
                throw RESPCommandError(.syntax, option)
            }
        }
        return transfer
    }

    // MARK: Accounts

    /// ACCOUNT.CREATE id ledger code [FLAGS f[,f…]] [DATA… n]
    mutating func accountCreate(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> Account {
        if count < 4 { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
        var account = Account(
            id: AccountID(try number(arguments, source, .id)),
            ledger: UInt32(truncatingIfNeeded: try number(arguments, source, .ledger)),
            code: UInt16(truncatingIfNeeded: try number(arguments, source, .code)))
        // The data options are those of a transfer: read them into one.
        var options = Transfer(
            id: TransferID(0), debit: account.id, credit: account.id, amount: .zero, ledger: 0, code: 0)
        while !isAtEnd {
            let option = arguments[next]
            next += 1
            if source.matches(option, "FLAGS") {
                try once(0, option)
                if isAtEnd { throw RESPCommandError(.syntax, option) }
                account.flags = try flags(arguments[next], source)
                next += 1
            } else if try !data(arguments, source, option, of: &options) {
                throw RESPCommandError(.syntax, option)
            }
        }
        account.userData128 = options.userData128
        account.userData64 = options.userData64
        account.userData32 = options.userData32
        return account
    }

    /// Names of account flags between commas; an empty argument is no flag at all.
    private func flags(_ list: RESPArgument, _ source: Span<UInt8>) throws(RESPCommandError) -> AccountFlags {
        var flags: AccountFlags = []
        if list.length == 0 { return flags }
        let end = list.offset + list.length
        var start = list.offset
        for i in list.offset...end where i == end || source[i] == UInt8(ascii: ",") {
            let word = RESPArgument(offset: start, length: i - start)
            guard let flag = AccountFlags(named: word, in: source) else { throw RESPCommandError(.unknownFlag, word) }
            flags.insert(flag)
            start = i + 1
        }
        return flags
    }

    /// ACCOUNT.GET id [id …]
    mutating func accountGet(
        _ arguments: inout RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommand {
        if count < 2 { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
        for i in 0..<(count - 1) { arguments.ids[i] = try number(arguments, source, .account) }
        return .accountGet(count: count - 1)
    }

    /// ACCOUNT.FREEZE|UNFREEZE id DEBITS|CREDITS|BOTH
    mutating func freeze(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>, freezes: Bool
    ) throws(RESPCommandError) -> RESPCommand {
        try expect(arguments, 3...3)
        let id = AccountID(try number(arguments, source, .account))
        let word = arguments[2]
        let sides: AccountFlags
        if source.matches(word, "DEBITS") {
            sides = .debitsFrozen
        } else if source.matches(word, "CREDITS") {
            sides = .creditsFrozen
        } else if source.matches(word, "BOTH") {
            sides = [.debitsFrozen, .creditsFrozen]
        } else {
            throw RESPCommandError(.syntax, word)
        }
        return .accountFreeze(id, sides: sides, freezes: freezes)
    }

    /// Results of ACCOUNT.TRANSFERS and ACCOUNT.BALANCES where no LIMIT is given.
    private static var limitDefault: UInt32 { 100 }

    /// ACCOUNT.TRANSFERS|BALANCES id [FROM ts] [TO ts] [LIMIT n] [DEBITS|CREDITS] [REV]
    mutating func accountHistory(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> QueryFilter {
        if count < 2 { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
        var filter = QueryFilter(
            account: AccountID(try number(arguments, source, .account)), limit: Self.limitDefault)
        while !isAtEnd {
            let option = arguments[next]
            next += 1
            if source.matches(option, "FROM") {
                try once(0, option)
                filter.timestampMin = Timestamp(UInt64(truncatingIfNeeded: try number(arguments, source, .from)))
            } else if source.matches(option, "TO") {
                try once(1, option)
                filter.timestampMax = Timestamp(UInt64(truncatingIfNeeded: try number(arguments, source, .to)))
                if filter.timestampMax == .zero { throw RESPCommandError(.mustNotBeZero(.to), arguments[next - 1]) }
            } else if source.matches(option, "LIMIT") {
                try once(2, option)
                filter.limit = UInt32(truncatingIfNeeded: try number(arguments, source, .limit))
            } else if source.matches(option, "DEBITS") {
                try once(3, option)
                filter.flags.insert(.debits)
            } else if source.matches(option, "CREDITS") {
                try once(3, option)
                filter.flags.insert(.credits)
            } else if source.matches(option, "REV") {
                try once(4, option)
                filter.flags.insert(.reversed)
            } else {
                throw RESPCommandError(.syntax, option)
            }
        }
        return filter
    }
}

extension AccountFlags {
    /// The flag of that name, as Docs/Semantics.md writes it, in any case.
    fileprivate init?(named word: RESPArgument, in source: Span<UInt8>) {
        if source.matches(word, "DEBITS_MUST_NOT_EXCEED_CREDITS") {
            self = .debitsMustNotExceedCredits
        } else if source.matches(word, "CREDITS_MUST_NOT_EXCEED_DEBITS") {
            self = .creditsMustNotExceedDebits
        } else if source.matches(word, "LINKED") {
            self = .linked
        } else if source.matches(word, "HISTORY") {
            self = .history
        } else if source.matches(word, "CLOSED") {
            self = .closed
        } else if source.matches(word, "DEBITS_FROZEN") {
            self = .debitsFrozen
        } else if source.matches(word, "CREDITS_FROZEN") {
            self = .creditsFrozen
        } else if source.matches(word, "STRIPED") {
            self = .striped
        } else {
            return nil
        }
    }
}
