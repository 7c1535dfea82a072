// The commands as COMMAND and COMMAND DOCS describe them; redis-cli makes its help and its hints from this.

/// One command for people and tools.
struct RESPCommandDescription: Sendable {
    struct Argument: Sendable {
        var name: String
        var token: String?
        var isOptional = false
        var isMultiple = false
        /// The token stands before each of several.
        var repeatsToken = false
        /// A word that stands alone.
        var isToken = false
    }

    var name: String
    var summary: String
    var group = "connection"
    var writes = false
    /// Words of the shortest form, the name included.
    var wordsMin: Int
    var isVariadic: Bool
    var arguments: [Argument]

    private init(
        _ name: String, _ summary: String, group: String = "connection", writes: Bool = false,
        _ arguments: [Argument] = []
    ) {
        self.name = name
        self.summary = summary
        self.group = group
        self.writes = writes
        self.arguments = arguments
        wordsMin = 1 + arguments.reduce(0) { $0 + ($1.isOptional ? 0 : $1.token == nil || $1.isToken ? 1 : 2) }
        isVariadic = arguments.contains { $0.isOptional || $0.isMultiple }
    }

    private static func word(_ name: String) -> Argument { Argument(name: name) }
    private static func option(_ token: String, _ name: String) -> Argument {
        Argument(name: name, token: token, isOptional: true)
    }
    private static func options(_ token: String, _ name: String) -> Argument {
        Argument(name: name, token: token, isOptional: true, isMultiple: true, repeatsToken: true)
    }
    private static func several(_ name: String) -> Argument {
        Argument(name: name, isOptional: true, isMultiple: true)
    }
    private static func optional(_ name: String) -> Argument { Argument(name: name, isOptional: true) }
    private static func token(_ token: String) -> Argument {
        Argument(name: token.lowercased(), token: token, isOptional: true, isToken: true)
    }
    private static let data = [option("DATA128", "n"), option("DATA64", "n"), option("DATA32", "n")]

    static let all: [RESPCommandDescription] = [
        .init(
            "account.create", "Creates an account.", group: "ledger", writes: true,
            [word("id"), word("ledger"), word("code"), option("FLAGS", "flag[,flag]")] + data),
        .init(
            "account.get", "Balances and fields of accounts.", group: "ledger",
            [Argument(name: "id", isMultiple: true)]),
        .init(
            "account.freeze", "Refuses new debits or credits of an account.", group: "ledger", writes: true,
            [word("id"), word("DEBITS|CREDITS|BOTH")]),
        .init(
            "account.unfreeze", "Lifts a freeze.", group: "ledger", writes: true,
            [word("id"), word("DEBITS|CREDITS|BOTH")]),
        .init(
            "account.transfers", "Transfers of an account, by time.", group: "ledger",
            [
                word("id"), option("FROM", "timestamp"), option("TO", "timestamp"), option("LIMIT", "n"),
                optional("DEBITS|CREDITS"), token("REV"),
            ]),
        .init(
            "account.balances", "Balances after each change of an account with history, by time.", group: "ledger",
            [
                word("id"), option("FROM", "timestamp"), option("TO", "timestamp"), option("LIMIT", "n"),
                optional("DEBITS|CREDITS"), token("REV"),
            ]),
        .init(
            "transfer", "Moves money from the debit account to the credit account.", group: "ledger", writes: true,
            [
                word("id"), word("debit"), word("credit"), word("amount"), word("ledger"), word("code"),
                option("PENDING", "timeout"), options("BALANCING", "DEBIT|CREDIT"), options("CLOSING", "DEBIT|CREDIT"),
            ] + data),
        .init(
            "transfer.post", "Posts a pending transfer, all of it or AMOUNT.", group: "ledger", writes: true,
            [word("id"), word("debit"), word("pending_id"), option("AMOUNT", "n")] + data),
        .init(
            "transfer.void", "Voids a pending transfer.", group: "ledger", writes: true,
            [word("id"), word("debit"), word("pending_id")] + data),
        .init(
            "transfer.get", "A transfer, or all that have the id.", group: "ledger", [word("id"), optional("debit")]),
        .init("totals", "Sums of debits and credits per ledger.", group: "ledger"),
        .init("multi", "Begins a chain of transfers, or of accounts: all of them or none.", group: "ledger"),
        .init("exec", "Hands in the chain; a reply or an error for each creation.", group: "ledger", writes: true),
        .init("discard", "Gives the chain up.", group: "ledger"),
        .init("info", "How the engine does.", group: "server", [several("section")]),
        .init(
            "command", "Describes the commands.", group: "server",
            [optional("COUNT|LIST|DOCS [name ...]|INFO [name ...]")]),
        .init(
            "config", "Parameters that tools ask for.", group: "server",
            [word("GET"), Argument(name: "parameter", isMultiple: true)]),
        .init("ping", "Answers PONG.", [optional("message")]),
        .init("echo", "Answers the message.", [word("message")]),
        .init("hello", "Agrees on the protocol.", [optional("version [AUTH user password] [SETNAME client-name]")]),
        .init("auth", "Gives the password.", [optional("user"), word("password")]),
        .init("client", "This connection's id and name.", [word("subcommand [value]")]),
        .init("select", "Database 0 is the only one.", [word("0")]),
        .init("role", "Says that this is a primary."),
        .init("reset", "Makes the connection new."),
        .init("quit", "Closes the connection."),
    ]
}
