"""Every part of a transformer in NumPy alone, forward and backward, with the backward pass derived by hand.

There is no autograd here. Each file has one `forward`, which returns its result and what the way back will need, and
one `backward`, which takes the gradient of the loss with respect to that result and returns the gradients with respect
to the input and to the weights:

    y, saved = forward(x, weights)
    dx, gradients = backward(dy, saved)          dy means ∂L/∂y: how the loss changes when y does

Two rules carry all of it. The chain rule: going back through a step multiplies by its derivative. And sums become
copies, copies become sums: where forward uses a value in several places, backward adds up what comes back from each.

`weights` and `gradients` are dictionaries with the names that the torch components use, so that the tests can compare
every number: `tests/learn` holds these files against finite differences, and the torch implementations against them.
"""
