// What a RESP client asks for, as plain values. The grammar is that of Docs/Protocol.md.

public import SuanpanCore

/// One command, decoded. Slices point into the source of its arguments and die with it; everything else is a copy that
/// may wait in a queue.
@frozen public enum RESPCommand: BitwiseCopyable, Sendable {
    /// An empty line or array: no reply.
    case nothing

    // The ledger
    case accountCreate(Account)
    /// So many ids stand in the table (`RESPArguments.accountID`).
    case accountGet(count: Int)
    /// Sets (`freezes`) or lifts the freeze of these sides: `debitsFrozen`, `creditsFrozen` or both.
    case accountFreeze(AccountID, sides: AccountFlags, freezes: Bool)
    /// ACCOUNT.TRANSFERS, ACCOUNT.BALANCES.
    case accountHistory(QueryKind, QueryFilter)
    /// A plain or pending transfer, and TRANSFER.POST and .VOID, which are transfers with these flags.
    case transfer(Transfer)
    case transferGet(TransferID, debit: AccountID?)
    case totals
    case multi
    case exec
    case discard

    // The connection
    case ping(RESPArgument?)
    case echo(RESPArgument)
    case hello(RESPHello)
    case auth(user: RESPArgument?, password: RESPArgument)
    case select(UInt64)
    case reset
    case quit
    /// The sections asked for are the arguments.
    case info
    case client(RESPClientCommand)
    /// COMMAND; the reply reads names from the arguments behind the subcommand.
    case command(RESPCommandCommand)
    /// CONFIG GET; the reply reads the names from the arguments.
    case configGet
    case role

    /// Not understood; nothing was executed. `RESPEncoder.error` words it.
    case refused(RESPCommandError)

    /// AUTH, and HELLO with AUTH.
    public var givesPassword: Bool {
        switch self {
        case .auth: true
        case .hello(let hello): hello.password != nil
        default: false
        }
    }
}

/// HELLO: the protocol asked for, credentials and a name where given.
@frozen public struct RESPHello: BitwiseCopyable, Sendable {
    public var version: RESPVersion?
    public var user: RESPArgument?
    public var password: RESPArgument?
    /// Printable, without spaces.
    public var clientName: RESPArgument?
}

@frozen public enum RESPVersion: UInt8, BitwiseCopyable, Sendable {
    case two = 2
    case three = 3
}

@frozen public enum RESPClientCommand: BitwiseCopyable, Sendable {
    case id
    case info
    case list(RESPClientSelection)
    case getName
    /// Printable, without spaces.
    case setName(RESPArgument)
    /// SETINFO, NO-EVICT, NO-TOUCH: accepted, without effect here.
    case accepted
}

/// Which connections CLIENT LIST asks for.
@frozen public enum RESPClientSelection: BitwiseCopyable, Sendable {
    case all
    /// Of a type that there is none of here: replicas, subscribers.
    case none
    /// The ids are the arguments behind CLIENT LIST ID.
    case ids
}

@frozen public enum RESPCommandCommand: BitwiseCopyable, Sendable {
    case all
    case count
    case docs
    case info
    case list(RESPCommandFilter)
}

/// Which names COMMAND LIST asks for.
@frozen public enum RESPCommandFilter: BitwiseCopyable, Sendable {
    case all
    /// Those of a module or a category: there is neither here.
    case none
    /// The pattern is the last argument.
    case pattern
}

/// Why a command was not understood, with the argument at fault.
@frozen public struct RESPCommandError: Error, BitwiseCopyable, Sendable {
    @frozen public enum Kind: BitwiseCopyable, Sendable {
        /// The argument is the command's name.
        case unknownCommand
        case wrongArgumentCount
        /// The second argument of a command that has subcommands; the argument is that.
        case unknownSubcommand
        /// The argument is the token that has no place there.
        case syntax
        case notUnsigned(RESPField)
        /// Of a bound that is no bound where it is 0, in the native protocol.
        case mustNotBeZero(RESPField)
        case unknownFlag
        case unsupportedProtocol
        case protocolVersionNotANumber
        case databaseOutOfRange
        case invalidClientName
        case invalidClientID
        case unknownClientType
        /// Of CLIENT SETINFO; and a value that may not be one.
        case unknownClientAttribute
        case invalidClientAttribute
        /// WATCH and UNWATCH; the argument is the name.
        case watchNotSupported
        /// CLUSTER, READONLY, READWRITE.
        case noCluster
    }
    public var kind: Kind
    public var argument: RESPArgument
    init(_ kind: Kind, _ argument: RESPArgument) {
        self.kind = kind
        self.argument = argument
    }
}

/// A number in a command: what the error message calls it, and how wide it is.
@frozen public enum RESPField: UInt8, BitwiseCopyable, Sendable {
    case id, debit, credit, account, pendingID, amount, data128
    case data64, from, to
    case data32, timeout, ledger, limit
    case code

    var bits: Int {
        switch self {
        case .id, .debit, .credit, .account, .pendingID, .amount, .data128: 128
        case .data64, .from, .to: 64
        case .data32, .timeout, .ledger, .limit: 32
        case .code: 16
        }
    }

    var name: StaticString {
        switch self {
        case .id: "id"
        case .debit: "debit account"
        case .credit: "credit account"
        case .account: "account"
        case .pendingID: "pending_id"
        case .amount: "amount"
        case .data128: "DATA128"
        case .data64: "DATA64"
        case .from: "FROM"
        case .to: "TO"
        case .data32: "DATA32"
        case .timeout: "timeout"
        case .ledger: "ledger"
        case .limit: "LIMIT"
        case .code: "code"
        }
    }
}
