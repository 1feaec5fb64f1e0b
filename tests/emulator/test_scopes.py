"""What braces open, for the rewrites and for lint alike."""

from __future__ import annotations

import pytest

from emulator.source.outline import Outline
from emulator.source.scopes import Scopes, initializes_member, opened_by
from emulator.source.tokens import Tokens

# The last brace that opens is the one in question.
OPENED = {
    "namespace a {": "file",
    "inline namespace a {": "file",
    'extern "C" {': "file",
    'extern "C" void f() {': "block",
    "struct A {": "class",
    "template <typename T, bool B = (sizeof(T) > 2)> struct A {": "class",
    "template <typename T> template <class U> void A<T>::f(U u) {": "block",
    "class alignas(16) A : B {": "class",
    "struct __attribute__((packed)) A {": "class",
    "struct A { int f() const {": "block",
    "struct A f(int x) {": "block",
    "bool operator==(A a, A b) {": "block",
    "A& operator=(struct A a) {": "block",
    "constant struct A a = {": "block",
    "enum class A : uint {": "block",
    "void f() { struct A {": "class",
    "void f() { for (int i = 0; i < 3; ++i) {": "block",
    "void f() { if (x) {": "block",
    "void f() { x = 1; {": "block",
}


@pytest.mark.parametrize("text", OPENED)
def test_what_a_brace_opens(text: str) -> None:
    tokens = Tokens(text)
    assert opened_by(tokens, len(tokens) - 1) == OPENED[text]


def test_what_encloses_a_token() -> None:
    tokens = Tokens("namespace a { struct B { int c[d]; void e(int f) { g; } }; } h")
    scopes = Scopes(tokens)
    found = {tokens.text(i): scopes.of(i) for i in tokens.words() if len(tokens.text(i)) == 1}
    assert found == {
        "a": "file", "B": "file", "c": "class", "d": "index", "e": "class", "f": "parameters",
        "g": "block", "h": "file",
    }  # fmt: skip


def test_braces_of_members_are_no_bodies() -> None:
    tokens = Tokens("struct A : B<int> { A() : B<int>{1}, x{2} { y{}; } int x; }; int f() { }")
    braces = [i for i, text in enumerate(tokens.texts) if text == "{"]
    assert [initializes_member(tokens, i) for i in braces][1:4] == [True, True, False]
    outline = Outline(tokens)
    bodies = {f.name: tokens.between(*f.body) for f in outline.functions}
    assert bodies == {"A": "{ y{};", "f": "{"}
    assert [c.name for c in outline.classes] == ["A"]
