"""Swift sources as tokens and declarations, as far as Scripts/check-* need them: no types, no scopes beyond braces.

Comments and the text of strings are left out; what stands in an interpolation is code.
"""

import re
from pathlib import Path

TOKEN = re.compile(
    r'\n|[^\S\n]+|//[^\n]*|/\*|#*"""|#*"|`\w+`|[#@$]?[A-Za-z_]\w*|\$\d+|\d\w*(?:\.\d\w*)?|->|&&|\|\||.', re.S)
TYPE_WORDS = {"struct", "class", "enum", "actor", "protocol", "extension"}
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}


class Token:
    __slots__ = ("text", "line", "place", "spaced")

    def __init__(self, text, line, place, spaced):
        self.text, self.line, self.place = text, line, place
        #: Whether a space or the beginning of a line stands before it.
        self.spaced = spaced

    @property
    def is_word(self):
        return self.text[0].isalpha() or self.text[0] in "_`"

    @property
    def word(self):
        return self.text.strip("`")


class Declaration:
    def __init__(self, kind, name, owner, line, first, attributes):
        self.kind, self.name, self.owner, self.line, self.first = kind, name, owner, line, first
        self.attributes = attributes
        #: Of a func or init: (label or "_", has a default) for each parameter.
        self.parameters = []
        #: A case of an enum that is made from raw values, or listed by `allCases`.
        self.is_raw_case = False
        #: Number of the token behind it.
        self.end = first
        self.path = None

    @property
    def title(self):
        name = self.name
        if self.kind in ("func", "init"):
            name += "(" + "".join(f"{label}:" for label, _ in self.parameters) + ")"
        return f"{self.owner}.{name}" if self.owner else name


class SwiftFile:
    def __init__(self, path, root):
        self.path = Path(path)
        self.name = str(self.path.relative_to(root))
        self.text = self.path.read_text(encoding="utf-8")
        self.tokens = []
        self._line = 1
        self._lex(0, None)
        self.declarations = []
        self._raw_enums = set()
        #: Numbers of tokens that name what they declare.
        self.names = set()
        #: (first, behind) token of each func, init or accessor, and the names that are local there.
        self.bodies = []
        self._partners()
        self._parse()

    # Tokens

    def _lex(self, place, until):
        """Reads tokens from `place`, to the bracket that closes an interpolation (`until`) or to the end."""
        depth, spaced, text = 0, True, self.text
        while place < len(text):
            match = TOKEN.match(text, place)
            piece = match.group()
            start, place = place, match.end()
            if piece == "\n":
                self._line += 1
                spaced = True
                self.tokens.append(Token("\n", self._line - 1, start, True))
                continue
            if piece.isspace():
                spaced = True
                continue
            if piece.startswith("//"):
                continue
            if piece == "/*":
                place = self._skip_block(place)
                continue
            if piece.endswith('"'):
                line, at = self._line, len(self.tokens)
                place = self._string(place, piece)
                self.tokens.insert(at, Token('"', line, start, spaced))
                spaced = False
                continue
            if until and piece == "(":
                depth += 1
            elif until and piece == ")":
                if depth == 0:
                    return place
                depth -= 1
            self.tokens.append(Token(piece, self._line, start, spaced))
            spaced = False
        return place

    def _skip_block(self, place):
        depth = 1
        for match in re.compile(r"/\*|\*/|\n").finditer(self.text, place):
            if match.group() == "\n":
                self._line += 1
            else:
                depth += 1 if match.group() == "/*" else -1
                if depth == 0:
                    return match.end()
        return len(self.text)

    def _string(self, place, opening):
        hashes = opening.count("#")
        quote = opening[hashes:]
        stop = re.compile(re.escape(quote + "#" * hashes) + r"|\\" + "#" * hashes + r"\(|\\.|\n", re.S)
        while match := stop.search(self.text, place):
            piece, place = match.group(), match.end()
            if piece == "\n":
                self._line += 1
            elif piece.endswith("("):
                place = self._lex(place, ")")
            elif not piece.startswith("\\"):
                return place
        return len(self.text)

    def _partners(self):
        self.partner, stack = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in OPENING:
                stack.append(i)
            elif token.text in CLOSING and stack:
                begin = stack.pop()
                self.partner[begin] = i

    # Declarations

    def _next(self, i):
        """The number of the next token that is no line's end."""
        i += 1
        while i < len(self.tokens) and self.tokens[i].text == "\n":
            i += 1
        return i

    def _text(self, i):
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def _parse(self):
        #: (number of the token that ends it, kind "type" or "code", word, name)
        stack = [(len(self.tokens), "type", "file", "")]
        pending, attributes, i = None, [], 0
        while i < len(self.tokens):
            token = self.tokens[i]
            text = token.text
            while stack[-1][0] <= i and len(stack) > 1:
                stack.pop()
            end, kind, word, owner = stack[-1]
            if text == "{":
                opened = pending or ("code", "", owner)
                stack.append((self.partner.get(i, len(self.tokens)), *opened))
                pending, attributes = None, []
            elif kind == "type" and text in TYPE_WORDS and self._is_type(i):
                pending = self._type(i, owner, attributes)
                attributes = []
            elif kind == "type" and text in ("func", "init", "var", "let", "case", "typealias", "associatedtype"):
                if text != "init" or self._text(i - 1) not in (".", ):
                    i = self._declare(i, word, owner, attributes)
                    attributes = []
                    continue
            elif kind == "type" and text == "subscript":
                i = self._body(i)
                continue
            elif kind == "type" and text.startswith("@"):
                attributes.append(text)
            elif kind == "type" and text in ("(", "["):
                i = self.partner.get(i, i)
            i += 1

    def _is_type(self, i):
        before = self._text(i - 1)
        following = self._next(i)
        if self._text(i) == "class" and self._text(following) in ("func", "var", "let", "override", "final"):
            return False
        return before not in (".", ":", ",", "import") and following < len(self.tokens) \
            and self.tokens[following].is_word

    def _type(self, i, owner, attributes):
        word, name = self.tokens[i].text, self._next(i)
        title = self.tokens[name].word
        last = name
        while self._text(last + 1) == "." and word == "extension":
            last += 2
            title = self.tokens[last].word
        full = f"{owner}.{title}" if owner and word != "extension" else title
        after = last
        while word == "enum" and self._text(after) not in ("{", ""):
            after += 1
            if self._text(after) in ("CaseIterable", "String", "CodingKey") or re.match(r"U?Int\d*$", self._text(after)):
                self._raw_enums.add(full)
        if word != "extension":
            declaration = Declaration("type", title, owner, self.tokens[i].line, i, attributes)
            self._add(declaration, name)
            declaration.end = self._end_of_body(last)
        return ("type", word, full)

    def _add(self, declaration, name):
        declaration.path = self.name
        self.declarations.append(declaration)
        self.names.add(name)

    def _declare(self, i, word, owner, attributes):
        """A member or a global; gives the number of the token to go on with."""
        text = self.tokens[i].text
        if text == "case":
            return self._cases(i, owner) if word == "enum" else i + 1
        if text in ("typealias", "associatedtype"):
            name = self._next(i)
            if text == "typealias":
                declaration = Declaration(text, self.tokens[name].word, owner, self.tokens[i].line, i, [])
                self._add(declaration, name)
                declaration.end = self._end_of_line(name)
            return name + 1
        name = i if text == "init" else self._next(i)
        if not self.tokens[name].is_word:
            if text == "func":
                return self._body(name)
            return self._end_of_line(i)
        kind = {"let": "var"}.get(text, text)
        declaration = Declaration(
            kind, self.tokens[name].word, owner, self.tokens[i].line, i, list(attributes))
        self._add(declaration, name)
        if kind == "var":
            declaration.end = self._end_of_variable(name, word)
        else:
            opening = name + 1
            while self._text(opening) not in ("(", "") :
                opening += 1
            declaration.parameters = self._parameters(opening)
            closing = self.partner.get(opening, opening)
            declaration.end = self._end_of_line(closing) if word == "protocol" else self._end_of_body(closing)
        self.bodies.append((i, declaration.end, self._locals(i, declaration.end, name)))
        return declaration.end

    def _cases(self, i, owner):
        at, line = i, self.tokens[i].line
        while True:
            name = self._next(at)
            declaration = Declaration("case", self.tokens[name].word, owner, line, name, [])
            declaration.is_raw_case = owner in self._raw_enums
            self._add(declaration, name)
            at = name + 1
            while at < len(self.tokens) and self._text(at) not in (",", "\n", "}", ";"):
                at = self.partner.get(at, at) + 1
            declaration.end = at
            if self._text(at) != ",":
                return at

    def _parameters(self, opening):
        closing, out, at = self.partner.get(opening, opening), [], opening + 1
        while at < closing:
            first = at
            while self._text(first) == "\n" or self._text(first).startswith("@"):
                first += 1
            if first >= closing:
                break
            label, default, angles = self.tokens[first].word, False, 0
            while at < closing and (self._text(at) != "," or angles > 0):
                default = default or self._text(at) == "="
                angles += {"<": 1, ">": -1}.get(self._text(at), 0)
                at = self.partner.get(at, at) + 1
            out.append((label, default))
            at += 1
        return out

    def _end_of_line(self, i):
        while i < len(self.tokens) and self._text(i) not in ("\n", "}"):
            i = self.partner.get(i, i) + 1
        return i

    def _end_of_body(self, i):
        """Behind the next pair of braces."""
        while i < len(self.tokens) and self._text(i) != "{":
            if self._text(i) == "}":
                return i
            i = (self.partner.get(i, i) if self._text(i) in "([" else i) + 1
        return self.partner.get(i, i) + 1

    def _body(self, i):
        end = self._end_of_body(i)
        self.bodies.append((i, end, self._locals(i, end, i)))
        return end

    def _end_of_variable(self, i, word):
        """Behind a variable's type, value and accessors."""
        if word == "protocol":
            return self._end_of_line(i)
        at = i
        while at < len(self.tokens):
            text = self._text(at)
            if text == "}":
                return at
            if text == "\n":
                following = self._text(self._next(at))
                is_ternary = self._text(at - 1) == "?" and self.tokens[at - 1].spaced
                if not is_ternary and self._text(at - 1) not in ("=", ":", ",", "&&", "||", "+") \
                        and following not in (".", "?", ":", "&&", "||", "=", "{", "+"):
                    return at
                at += 1
            else:
                at = self.partner.get(at, at) + 1
        return at

    def _locals(self, begin, end, name):
        """Names of parameters and local variables between two tokens: a bare word that is one of them is no use."""
        out = set()
        for i in range(begin, min(end, len(self.tokens))):
            token = self.tokens[i]
            if not token.is_word or i == name:
                continue
            before, after = self._text(i - 1), self._text(i + 1)
            if before in ("let", "var", "for", "inout") and before != "inout":
                out.add(token.word)
            elif after == ":" and self.tokens[i - 1].is_word and self.tokens[i - 1].line == token.line \
                    and before not in ("case", "default", "return", "?", "in"):
                out.add(token.word)  # (_ name: T), (label name: T)
            elif after == "in" and (before in ("{", ",", "\n")):
                out.add(token.word)
            elif before in ("(", ",") and after in (",", ")") and self._is_tuple_of_names(i):
                out.add(token.word)
        return out

    def _is_tuple_of_names(self, i):
        """let (a, b) = …, for (a, b) in …"""
        while i > 0 and (self._text(i) == "," or self.tokens[i].is_word):
            i -= 1
        return self._text(i) == "(" and self._text(i - 1) in ("let", "var", "for")


def swift_files(root, *folders):
    root = Path(root)
    for folder in folders:
        for path in sorted((root / folder).rglob("*.swift")):
            yield SwiftFile(path, root)
