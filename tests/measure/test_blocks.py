"""The block stack: found without a table, run block by block with the model's own logits, and left as it was."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_models import BLOCKS, FAMILIES, REFUSED, VOCABULARY, build, from_settings, shared, token_ids
from torch import nn
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from checker.core.errors import CannotRun
from checker.core.layouts import Layout, Place, pairs_within
from checker.measure.blocks import BlockStack, Entrance, depth, find_stack
from checker.measure.engine import Engine
from checker.measure.proof import prove
from checker.measure.texts import Batch

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = token_ids(windows=3, tokens=12)
BATCH = Batch(IDS, 0, 10, range(3), "prompt")


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> nn.Module:
    return shared(request.param)


def own_logits(model: nn.Module, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return logits


def through(stack: BlockStack, layout: Layout, entrance: Entrance) -> torch.Tensor:
    hidden = entrance.hidden
    for place in layout.places:
        hidden = stack.run(place, hidden, entrance)
    return hidden


def layout_logits(stack: BlockStack, layout: Layout) -> torch.Tensor:
    return stack.leave(through(stack, layout, stack.enter(IDS)), IDS)


def fitting_pair(stack: BlockStack) -> tuple[int, int]:
    """A block and another one's slot that it fits."""
    return next((j, i) for i, j in pairs_within(BLOCKS, BLOCKS) if stack.same_shapes(i, j))


def state(model: nn.Module) -> dict[str, Any]:
    """Everything about the blocks that the stack could have changed."""
    blocks = list(find_stack(model))
    return {
        "weights": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "attributes": [sorted(vars(block)) for block in blocks],
        "hooks": [len(block._forward_hooks) + len(block._forward_pre_hooks) for block in blocks],
        "training": [module.training for module in model.modules()],
        "config": model.config.to_dict(),
    }


def assert_same_state(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, tensor in before["weights"].items():
        assert torch.equal(tensor, after["weights"][name]), name
    for part in ("attributes", "hooks", "training", "config"):
        assert before[part] == after[part], part


# --- every family ----------------------------------------------------------------------------------------------------


def test_there_are_enough_families() -> None:
    assert len({kind for kind, _ in FAMILIES.values()}) >= 40


def test_the_stack_is_found_without_a_table(model: nn.Module) -> None:
    stack = BlockStack(model)
    assert len(stack) == depth(model) == BLOCKS
    assert all(block is slot for block, slot in zip(stack.blocks, find_stack(model), strict=True))


def test_block_by_block_the_logits_are_the_models_own(model: nn.Module) -> None:
    stack = BlockStack(model)
    own, ours = own_logits(model), layout_logits(stack, Layout.base(BLOCKS))
    assert own.shape == (3, 12, VOCABULARY)
    torch.testing.assert_close(ours, own, rtol=1e-5, atol=1e-5)
    losses = [nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten()) for logits in (ours, own)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0)


def test_some_positions_of_hidden_states_leave_as_all_of_them_do(model: nn.Module) -> None:
    stack = BlockStack(model)
    hidden = through(stack, Layout.base(BLOCKS), stack.enter(IDS))
    some = stack.leave(hidden[:, 5:9], IDS[:, :4])
    torch.testing.assert_close(some, own_logits(model)[:, 5:9], rtol=1e-5, atol=1e-5)


def test_the_model_is_left_as_it_was(model: nn.Module) -> None:
    before, own = state(model), own_logits(model)
    stack = BlockStack(model)
    block, slot = fitting_pair(stack)
    layout_logits(stack, Layout.base(BLOCKS).with_weights({slot: block}).without([0]))
    layout_logits(stack, Layout.base(BLOCKS).with_weights({slot: {slot: 0.5, block: 0.5}}))
    assert_same_state(before, state(model))
    assert torch.equal(own_logits(model), own)


def test_a_block_leaves_its_input_alone(model: nn.Module) -> None:
    stack = BlockStack(model)
    entrance = stack.enter(IDS)
    hidden = entrance.hidden
    for place in Layout.base(BLOCKS).places:
        before = hidden.clone()
        after = stack.run(place, hidden, entrance)
        assert torch.equal(hidden, before)
        assert not torch.equal(after, before)
        hidden = after


def test_every_family_is_proved(model: nn.Module) -> None:
    prove(BlockStack(model), BATCH)


def test_blocks_with_other_weights_differ(model: nn.Module) -> None:
    """Else the families would prove nothing about layouts."""
    stack = BlockStack(model)
    block, slot = fitting_pair(stack)
    changed = layout_logits(stack, Layout.base(BLOCKS).with_weights({slot: block}))
    assert float((changed - own_logits(model)).abs().max()) > 0.1


# --- what cannot be audited ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", REFUSED)
def test_models_that_carry_more_than_hidden_states_are_refused(family: str) -> None:
    with pytest.raises(CannotRun, match="cannot be audited"):
        prove(BlockStack(from_settings(*REFUSED[family])), BATCH)


class _Carried(nn.Module):
    """A block that adds what the block before it left in a shared place."""

    def __init__(self, block: nn.Module, shelf: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.block, self.shelf = block, shelf
        self.layer_type = getattr(block, "layer_type", None)

    def forward(self, hidden_states: torch.Tensor, **named: Any) -> torch.Tensor:
        left = self.shelf.get("left")
        output: torch.Tensor = self.block(hidden_states, **named)
        self.shelf["left"] = output
        return output if left is None or left.shape != output.shape else output + 0.1 * left


def test_state_that_blocks_pass_behind_the_hidden_states_is_noticed() -> None:
    model = build("llama")
    layers = model.model.layers
    shelf: dict[str, torch.Tensor] = {}
    for slot in range(BLOCKS):
        layers[slot] = _Carried(layers[slot], shelf)
    layers[0].register_forward_pre_hook(lambda *_: shelf.clear())  # the first block begins anew, as in a cache
    engine = Engine(BlockStack(model))
    torch.testing.assert_close(layout_logits(engine.stack, engine.base), own_logits(model))
    with pytest.raises(CannotRun, match="depends on what ran before it by more than its hidden states"):
        prove(engine.stack, BATCH)


class _InPlace(nn.Module):
    """A block that adds to its input instead of making a new tensor."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, hidden_states: torch.Tensor, **named: Any) -> torch.Tensor:
        return hidden_states.add_(self.block(hidden_states, **named))


def test_blocks_that_overwrite_their_input_are_refused() -> None:
    model = build("llama")
    model.model.layers[2] = _InPlace(model.model.layers[2])
    with pytest.raises(CannotRun, match="block 2"):
        prove(BlockStack(model), BATCH)


def test_logits_other_than_the_models_own_are_noticed() -> None:
    model = build("llama")
    engine = Engine(BlockStack(model))
    model.lm_head.register_forward_hook(_counting_hook())  # another answer at every call
    with pytest.raises(CannotRun, match="the model's logits differ from its own by"):
        prove(engine.stack, BATCH)


def _counting_hook() -> Callable[..., torch.Tensor]:
    calls = [0]

    def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        return output + calls[0]

    return hook


def test_a_model_without_a_depth_is_refused() -> None:
    model = build("llama")
    vars(model.config).pop("num_hidden_layers")
    type_without = type("Bare", (), {"get_text_config": lambda self: self})
    model.config = type_without()
    with pytest.raises(CannotRun, match="names no number of blocks; expected `num_hidden_layers`"):
        BlockStack(model)


def test_a_stack_whose_blocks_the_forward_does_not_run_is_refused() -> None:
    model = build("llama")
    model.idle = nn.ModuleList([nn.Linear(1, 1) for _ in range(BLOCKS)])
    with pytest.raises(CannotRun, match="does not run each block of its stack once"):
        BlockStack(model, "idle")


# --- which stack -----------------------------------------------------------------------------------------------------


def test_an_ambiguous_stack_is_named_by_the_audit() -> None:
    model = build("llama")
    model.drafts = nn.ModuleList([nn.Linear(1, 1) for _ in range(BLOCKS)])
    with pytest.raises(CannotRun) as caught:
        BlockStack(model)
    assert str(caught.value) == (
        f"the block stack could not be told: lists of {BLOCKS} modules found: model.layers, drafts; expected exactly "
        "one; name it in the audit as `model: {blocks: ...}`"
    )
    stack = BlockStack(model, "model.layers")
    torch.testing.assert_close(layout_logits(stack, Layout.base(BLOCKS)), own_logits(model))


def test_a_name_that_is_no_list_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(CannotRun, match=r"model\.blocks: found 'model\.layer'; expected one of .*model\.layers"):
        BlockStack(shared("llama"), "model.layer")


def test_a_stack_of_another_depth_is_not_taken_for_one() -> None:
    model = build("llama")
    model.config.num_hidden_layers = BLOCKS + 1
    with pytest.raises(CannotRun, match=f"lists of {BLOCKS + 1} modules found: none"):
        find_stack(model)


def test_lists_inside_blocks_are_not_stacks() -> None:
    """As many experts as blocks, in a list inside each block."""
    model = build("llama")
    for block in model.model.layers:
        block.mlp.experts = nn.ModuleList([nn.Linear(1, 1) for _ in range(BLOCKS)])
    assert find_stack(model) is model.model.layers


@pytest.fixture(scope="module")
def picture_model() -> nn.Module:
    """A model for pictures and text, whose picture part is as deep as its text part."""
    text = FAMILIES["gemma3"][1]
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": BLOCKS, "num_attention_heads": 2}
    config = Gemma3Config(
        text_config=dict(text), vision_config={**vision, "image_size": 28, "patch_size": 14}, mm_tokens_per_image=4
    )
    torch.manual_seed(0)
    return Gemma3ForConditionalGeneration(config).eval().requires_grad_(False)


def test_a_model_for_pictures_and_text_is_ambiguous_until_its_stack_is_named(picture_model: nn.Module) -> None:
    with pytest.raises(CannotRun, match=r"language_model\.layers"):
        BlockStack(picture_model)
    engine = Engine(BlockStack(picture_model, "model.language_model.layers"))
    prove(engine.stack, BATCH)
    torch.testing.assert_close(layout_logits(engine.stack, engine.base), own_logits(picture_model))


# --- nothing is left behind ------------------------------------------------------------------------------------------


def test_an_exception_inside_leaves_the_model_as_it_was() -> None:
    model = build("llama")
    before, own = state(model), own_logits(model)
    stack = BlockStack(model)
    handle = model.model.norm.register_forward_hook(_raise)
    with pytest.raises(ZeroDivisionError):
        stack.leave(stack.enter(IDS).hidden, IDS)
    with pytest.raises(CannotRun, match="the model's own forward fails"):
        BlockStack(model)
    handle.remove()
    handle = model.model.rotary_emb.register_forward_hook(_raise)
    with pytest.raises(ZeroDivisionError):
        stack.enter(IDS)
    handle.remove()
    handle = model.model.layers[2].mlp.register_forward_hook(_raise)
    with pytest.raises(ZeroDivisionError):
        layout_logits(stack, Layout.base(BLOCKS).with_weights({2: 1}))
    handle.remove()
    assert_same_state(before, state(model))
    assert torch.equal(own_logits(model), own)


def test_what_the_models_own_forward_raises_is_the_models() -> None:
    model = build("llama")

    def fail(*_: Any) -> None:
        raise AttributeError("'DynamicCache' object has no attribute 'seen_tokens'\nadvice for users of the library")

    model.model.norm.register_forward_hook(fail)
    with pytest.raises(CannotRun) as error:
        BlockStack(model)
    assert str(error.value) == (
        "found that the model's own forward fails (AttributeError: 'DynamicCache' object has no attribute "
        "'seen_tokens'); expected it to run; its code does not fit this version of transformers, or its configuration "
        "does not fit its code; use the version that the model was written for, or ask its author"
    )


def _raise(*_: Any) -> None:
    raise ZeroDivisionError


def test_a_forward_that_someone_else_put_on_a_block_is_put_back() -> None:
    model = build("llama")
    block = model.model.layers[1]
    plain = block.forward
    calls = []

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return plain(*args, **kwargs)

    block.forward = wrapper
    stack = BlockStack(model)
    before = len(calls)
    layout_logits(stack, Layout.base(BLOCKS))
    assert block.forward is wrapper
    assert len(calls) == before + 1  # run once in its slot; passed by while entering and leaving


def test_nothing_keeps_a_batch_alive() -> None:
    stack = BlockStack(shared("gemma3"))
    entrance = stack.enter(IDS)
    alive = weakref.ref(entrance), weakref.ref(entrance.hidden)
    stack.leave(through(stack, Layout.base(BLOCKS), entrance), IDS)
    del entrance
    gc.collect()
    assert [kept() for kept in alive] == [None, None]


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_blocks_of_other_shapes_do_not_fit() -> None:
    model = build("llama")
    wide = build("llama", intermediate_size=96)
    model.model.layers[2].mlp = wide.model.layers[2].mlp
    stack = BlockStack(model)
    assert stack.same_shapes(0, 1)
    assert not stack.same_shapes(1, 2)
    entrance = stack.enter(IDS)
    with pytest.raises(CannotRun, match=r"place 2@1: found weights of block 2, whose parameters differ in name"):
        stack.run(Place.of(2, 1), entrance.hidden, entrance)
    with pytest.raises(CannotRun, match=r"of block 2, .* from those of slot 0"):
        stack.run(Place(((1, 0.5), (2, 0.5)), 0), entrance.hidden, entrance)


def test_dense_and_expert_blocks_do_not_fit() -> None:
    stack = BlockStack(shared("llama4"))
    assert [stack.same_shapes(0, other) for other in range(BLOCKS)] == [True, False, True, False]


def test_router_logits_asked_for_by_the_configuration_do_not_disturb() -> None:
    model = shared("mixtral")
    assert model.config.output_router_logits
    stack = BlockStack(model)
    torch.testing.assert_close(layout_logits(stack, Layout.base(BLOCKS)), own_logits(model))


def test_mixed_weights_are_summed_in_float32() -> None:
    model = build("llama").to(torch.bfloat16)
    stack = BlockStack(model)
    entrance = stack.enter(IDS)
    thirds = Place(tuple((block, 1 / 3) for block in (0, 1, 2)), 1)
    ours = stack.run(thirds, entrance.hidden, entrance)
    weights = [block.state_dict() for block in find_stack(model)[:3]]
    mean = {key: torch.stack([part[key].float() for part in weights]).mean(0).bfloat16() for key in weights[0]}
    find_stack(model)[1].load_state_dict(mean)
    torch.testing.assert_close(ours, stack.run(Place.of(1), entrance.hidden, entrance), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("ids", [torch.zeros((2, 6), dtype=torch.long), IDS], ids=["padding", "text"])
def test_the_librarys_advice_stays_off_the_terminal(ids: torch.Tensor, capfd: pytest.CaptureFixture[str]) -> None:
    stack = BlockStack(build("gpt2"))
    entrance = stack.enter(ids)
    stack.leave(through(stack, Layout.base(BLOCKS), entrance), ids)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_logits_are_the_models_own() -> None:
    ids = IDS.to("cuda")
    for family in FAMILIES:
        model = build(family).to("cuda")
        stack = BlockStack(model)
        hidden = through(stack, Layout.base(BLOCKS), stack.enter(ids))
        torch.testing.assert_close(stack.leave(hidden, ids), own_logits(model, ids), rtol=1e-4, atol=1e-4)
